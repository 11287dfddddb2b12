//! What the command line says becomes of it, and what is wrong with input is said with its place.

use std::io::Write;

use callboard_assignor::{AssignError, Assignor, Group, Need, Plan};
use callboard_assignor_range::RangeAssignor;
use callboard_assignor_simulate::{Case, SimulateArgs, SimulateError, list};
use callboard_assignor_sticky::{CooperativeStickyAssignor, StickyAssignor};
use clap::Parser;

const KNOWN: [&dyn Assignor; 5] = [
    &RangeAssignor,
    &StickyAssignor,
    &CooperativeStickyAssignor,
    &Odd("refuses"),
    &Odd("panics"),
];

/// Has a fault by its name, or gives everything to the first subscriber and the lag away.
struct Odd(&'static str);

impl Assignor for Odd {
    fn name(&self) -> &str {
        self.0
    }

    fn needs(&self) -> &[Need] {
        &[Need::Lag]
    }

    fn assign(&self, group: &Group) -> Result<Plan, AssignError> {
        assert_ne!(self.0, "panics", "as it says");
        if self.0 == "refuses" {
            return Err(AssignError::new("not today"));
        }
        let mut plan = Plan::new(group);
        let topics = group.topic_indices();
        for partition in topics.flat_map(|topic| group.partitions(topic)) {
            if self.0 == "skips" && group.lag(partition) == Some(0) {
                continue;
            }
            plan.give(group.subscribers(partition.topic)[0], partition);
        }
        Ok(plan)
    }
}

#[derive(Parser)]
struct CommandLine {
    #[command(flatten)]
    args: SimulateArgs,
}

fn parse(line: &str) -> Result<SimulateArgs, clap::Error> {
    let words = std::iter::once("simulate").chain(line.split(' '));
    CommandLine::try_parse_from(words).map(|line| line.args)
}

fn run(line: &str) -> Result<String, SimulateError> {
    parse(line).expect("arguments").run(&KNOWN)
}

#[test]
fn a_plan_is_a_line_a_member() {
    assert_eq!(
        run("--assignor range --members 5 --topics orders:12,tills:1").unwrap(),
        "range, eager: members 5, topics 2, partitions 13\n\
         m1    4  orders 0-2  tills 0\n\
         m2    3  orders 3-5\n\
         m3    2  orders 6-7\n\
         m4    2  orders 8-9\n\
         m5    2  orders 10-11\n\
         moved 0, withheld 0, skew 2\n"
    );
}

#[test]
fn a_member_that_leaves_moves_what_it_moves() {
    let remove = |assignor| {
        run(&format!(
            "--assignor {assignor} --members 5 --topics orders:12 --remove m3"
        ))
        .unwrap()
    };
    // The ranges of m4 and m5 grow downwards, and 9 changes hands.
    assert!(
        remove("range").ends_with("moved 1, withheld 0, skew 0\n"),
        "{}",
        remove("range")
    );
    for sticky in ["sticky", "cooperative-sticky"] {
        let text = remove(sticky);
        assert!(text.ends_with("moved 0, withheld 0, skew 0\n"), "{text}");
    }
    assert!(!remove("range").contains("m3"));
}

#[test]
fn skew_is_between_members_that_subscribe_alike() {
    let case = Case::parse(
        r#"{"topics":{"few":{"partitions":1},"many":{"partitions":9}},"members":[
            {"id":"a","topics":["many"]},{"id":"b","topics":["many","gone"]},{"id":"c","topics":["few"]}]}"#,
    );
    let outcome = case.unwrap().run(&RangeAssignor).unwrap();
    let counts = outcome
        .assignment
        .values()
        .map(|topics| topics.values().map(Vec::len).sum());
    assert_eq!(
        (counts.collect::<Vec<usize>>(), outcome.skew),
        (vec![5, 4, 1], 1)
    );
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(text.as_bytes()).expect("room");
    file
}

#[test]
fn a_whole_case_goes_in_and_comes_out_as_json() {
    let input = file(
        r#"{"assignor":"cooperative-sticky","topics":{"orders":{"partitions":4}},"members":[
            {"id":"a","topics":["orders"],"owned":{"orders":[0,1,2,3]},"generation":3},
            {"id":"b","topics":["orders"]}]}"#,
    );
    let path = input.path().display();
    assert_eq!(
        run(&format!("--input {path} --output json")).unwrap(),
        "{\"assignment\":{\"a\":{\"orders\":[0,1]},\"b\":{}},\"withheld\":2,\"moved\":2,\"skew\":2}\n"
    );
    // Another assignor on the same case.
    let text = run(&format!("--input {path} --assignor range --output json")).unwrap();
    assert_eq!(
        text,
        "{\"assignment\":{\"a\":{\"orders\":[0,1]},\"b\":{\"orders\":[2,3]}},\"withheld\":0,\"moved\":2,\"skew\":0}\n"
    );
}

#[test]
fn what_members_own_may_come_in_the_bytes_they_send() {
    // Java's sticky user data: orders 3, generation 7.
    let bytes = "0000000100066f726465727300000001000000030000 0007".replace(' ', "");
    let case = format!(
        r#"{{"topics":{{"orders":{{"partitions":4}}}},"members":[
            {{"id":"a","topics":["orders"]}},{{"id":"b","topics":["orders"],"user_data":"{bytes}"}},
            {{"id":"c","topics":["orders"]}},{{"id":"d","topics":["orders"]}}]}}"#
    );
    let outcome = Case::parse(&case).unwrap().run(&StickyAssignor).unwrap();
    assert_eq!(outcome.assignment["b"]["orders"], [3]);
    // Nobody claims it in `owned`, which is what is counted.
    assert_eq!(outcome.moved, 0);
}

#[test]
fn lag_reaches_who_needs_it() {
    let case = Case::parse(
        r#"{"topics":{"orders":{"partitions":3,"lag":[5,null,0]}},"members":[{"id":"a","topics":["orders"]}]}"#,
    );
    let case = case.unwrap();
    assert!(case.run(&Odd("gives")).is_ok());
    let error = case.run(&Odd("skips")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "assignor skips: an invalid plan: orders/2 is given to nobody"
    );
}

#[test]
fn an_assignor_that_fails_is_named() {
    for (name, why) in [
        ("refuses", "no plan: not today"),
        ("panics", "it panicked; the lines above say where"),
    ] {
        let error = run(&format!("--assignor {name} --members 2 --topics orders:4")).unwrap_err();
        assert!(matches!(error, SimulateError::Failed(_)));
        assert_eq!(error.to_string(), format!("assignor {name}: {why}"));
    }
}

#[test]
fn what_is_wrong_with_a_case_is_said_with_its_place() {
    let topics = r#""topics":{"t":{"partitions":2}}"#;
    let member = r#"{"id":"a","topics":["t"]}"#;
    let of_member =
        |rest: &str| format!(r#"{{{topics},"members":[{member},{{"id":"b","topics":[]{rest}}}]}}"#);
    let of_topics = |topics: &str| format!(r#"{{"topics":{topics},"members":[{member}]}}"#);
    for (text, error) in [
        ("", "EOF while parsing a value at line 1 column 0"),
        (
            "{\"topics\":{},\n\"member\":[]}",
            "unknown field `member`, expected one of `assignor`, `topics`, `members` at line 2 column 8",
        ),
        (
            &of_topics(r#"{"t":{"partitions":-1}}"#),
            "topics.t.partitions: -1 is below 0",
        ),
        (
            &of_topics(r#"{"t":{"partitions":1},"t":{"partitions":2}}"#),
            "\"t\" is there twice at line 1 column 35",
        ),
        (
            &of_member(r#","owned":{"t":[0],"t":[1]}"#),
            "\"t\" is there twice at line 1 column 112",
        ),
        (
            &of_topics(r#"{"":{"partitions":1}}"#),
            "topics: a topic has no name",
        ),
        (
            &of_topics(r#"{"t":{"partitions":2147483647}}"#),
            "topics: 2147483647 partitions, 10000000 is the most",
        ),
        (
            &of_topics(r#"{"t":{"partitions":1,"lag":[1,2]}}"#),
            "topics.t.lag: 2 entries for 1 partitions",
        ),
        (
            &of_topics(r#"{"t":{"partitions":1,"racks":[[],[]]}}"#),
            "topics.t.racks: 2 entries for 1 partitions",
        ),
        (
            &format!(r#"{{{topics},"members":[]}}"#),
            "members: from 1 to 100000, not 0",
        ),
        (
            &format!(r#"{{{topics},"members":[{member},{member}]}}"#),
            r#"members[1].id: "a" is that of members[0]"#,
        ),
        (
            &of_member(r#","generation":-2"#),
            "members[1].generation: -2 is below -1",
        ),
        (
            &of_member(r#","owned":{"t":[0,-1]}"#),
            "members[1].owned.t[1]: -1 is below 0",
        ),
        (
            &of_member(r#","user_data":"00f""#),
            "members[1].user_data: 3 hex digits are half a byte too many",
        ),
        (
            &of_member(r#","user_data":"0é""#),
            "members[1].user_data: 'é' at 1 is no hex digit",
        ),
    ] {
        assert_eq!(Case::parse(text).unwrap_err(), error, "{text}");
    }
    let error = Case::parse(&of_topics(r#"{"t":{"partitions":1,"lag":[-1]}}"#)).unwrap_err();
    assert!(error.contains("line 1 column"), "{error}");
}

#[test]
fn what_is_wrong_at_the_command_line_is_said_with_its_place() {
    let input = file(r#"{"assignor":"none","topics":{},"members":[{"id":"a","topics":[]}]}"#);
    let path = input.path().display();
    let broken = file("{");
    let broken = broken.path().display();
    for (line, error) in [
        (
            "--members 2 --topics orders:4".to_owned(),
            "--assignor: no assignor is named; choose one of range, sticky, cooperative-sticky, refuses, panics".to_owned(),
        ),
        (
            "--assignor rnge --members 2 --topics orders:4".to_owned(),
            "--assignor: no assignor is called \"rnge\"; there are range, sticky, cooperative-sticky, refuses, panics".to_owned(),
        ),
        (
            format!("--input {path}"),
            format!("{path}: no assignor is called \"none\"; there are range, sticky, cooperative-sticky, refuses, panics"),
        ),
        (
            format!("--input {broken}"),
            format!("{broken}: EOF while parsing an object at line 1 column 1; --help has the form"),
        ),
        (
            "--assignor range --members 2 --topics orders".to_owned(),
            "--topics orders: not a name and how many partitions; write it like orders:12".to_owned(),
        ),
        (
            "--assignor range --members 0 --topics orders:1".to_owned(),
            "members: from 1 to 100000, not 0".to_owned(),
        ),
        (
            "--assignor range --members 10000000 --topics a:1,b:1".to_owned(),
            "10000000 members of 2 topics: 10000000 subscriptions are the most".to_owned(),
        ),
        (
            "--assignor range --members 2 --topics orders:1,orders:2".to_owned(),
            "topics.orders: is there twice".to_owned(),
        ),
        (
            "--assignor range --members 2 --topics orders:1 --remove m3".to_owned(),
            "--remove m3: no such member; they are m1, m2 …".to_owned(),
        ),
        (
            "--assignor range --members 1 --topics orders:1 --remove m1".to_owned(),
            "--remove m1: nobody is left; keep one".to_owned(),
        ),
    ] {
        let found = run(&line).unwrap_err();
        assert!(matches!(found, SimulateError::Input(_)), "{line}");
        assert_eq!(found.to_string(), error, "{line}");
    }
    let missing = run("--input /no/such/file").unwrap_err().to_string();
    assert!(
        missing.starts_with("/no/such/file: cannot be read"),
        "{missing}"
    );
    for line in [
        "--assignor range --members 2",
        "--members 2 --topics a:1 --input f",
        "--remove m1 --input f",
    ] {
        assert!(parse(line).is_err(), "{line}");
    }
}

#[test]
fn assignors_are_listed_with_what_they_need() {
    assert_eq!(
        list(&KNOWN[..4]),
        "range\teager\t-\n\
         sticky\teager\towned\n\
         cooperative-sticky\tcooperative,eager\towned\n\
         refuses\teager\tlag\n"
    );
}
