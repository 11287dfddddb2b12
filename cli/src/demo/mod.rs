//! `callboard demo`: real data through a real group, with accidents. The director: raises the stage, sends members on
//! and off, and waits for each cue before the next act. What happens is in the story, what it proves in the verdict.

pub(crate) mod child;
mod flights;
mod ledger;
mod member;
mod report;
mod stage;
mod story;
mod verdict;

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tokio::time::Instant;

use self::child::ChildMember;
use self::flights::Flights;
use self::member::{GROUP, Member, STUMBLE, TOPIC};
use self::stage::{PARTITIONS, Stage};
use self::story::Story;
use self::verdict::{Evidence, grouped};
use crate::args::DemoArgs;
use crate::failure::Failure;
use crate::progress;
use crate::signals::Signals;

const ANNA: &str = "anna";
const BERT: &str = "bert";
const CARLA: &str = "carla";
const DORA: &str = "dora";
const ALL_PARTITIONS: usize = PARTITIONS as usize;

/// Plays the demo; with `--keep` the broker stays afterwards until a signal comes.
pub(crate) async fn run(args: DemoArgs) -> Result<(), Failure> {
    let mut signals = Signals::listen()?;
    keep_the_planned_panic_quiet();
    let flights = Flights::load().map_err(Failure::demo)?;
    let rows = flights.table().sum().scheduled;
    let story = Story::begin(progress::bar(rows, "produced"));
    story.say(
        "demo",
        format_args!(
            "{} flights out of New York, January to March 2013, through one group",
            grouped(rows)
        ),
    );
    let stage = Stage::open().await?;
    let shown = tokio::select! {
        shown = Box::pin(play(&stage, &story, &flights)) => shown,
        signal = signals.next() => signal
            .ending()
            .and_then(|()| Err(Failure::demo(format_args!("{signal} ended the demo")))),
    };
    let mut ending = Ok(());
    if args.keep && shown.is_ok() {
        print(&invitation(&stage));
        ending = signals.next().await.ending();
    }
    let stopped = stage.close().await;
    match shown? {
        true => stopped.and(ending),
        false => Err(Failure::demo("it did not show what it claims, see above")),
    }
}

/// The whole play. Whether it showed what it claims.
async fn play(stage: &Stage, story: &Arc<Story>, flights: &Flights) -> Result<bool, Failure> {
    let direct = flights.table();
    let rows = direct.sum().scheduled;
    prologue(story, stage, flights, rows).await?;
    let troupe = Troupe {
        story,
        stage,
        stumble: Arc::new(AtomicBool::new(false)),
    };

    let (anna, bert, carla) = troupe.first_act().await?;
    let kill = troupe.second_act(bert, rows).await?;
    let dora = troupe.third_act().await?;
    let (lag, left) = troupe.last_act([anna, carla, dora], rows).await?;

    let ends = stage.ends().await.map_err(Failure::demo)?;
    let took = story.elapsed();
    story.bar().finish_and_clear();
    let evidence = {
        let happened = story.happened();
        Evidence {
            rows,
            direct,
            counted: happened.ledger.table().clone(),
            delivered: happened.ledger.delivered(),
            distinct: happened.ledger.distinct(),
            complete: happened.ledger.is_complete(&ends),
            lag,
            commits: happened.commits,
            rebalances: happened.rebalances(),
            kill,
            restarts: happened.restarts,
            left,
            troubles: happened.troubles.clone(),
            took,
        }
    };
    let series = stage.metrics().await.map_or(0, |text| {
        text.lines().filter(|line| !line.starts_with('#')).count()
    });
    print(&format!(
        "{}\n{}",
        evidence.text(),
        metrics_note(stage, series)
    ));
    Ok(evidence.holds())
}

/// Prints a text. Where nobody reads any more, the exit code says it.
fn print(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
}

/// The broker tells where it is, and gets the data.
async fn prologue(
    story: &Story,
    stage: &Stage,
    flights: &Flights,
    rows: u64,
) -> Result<(), Failure> {
    let data = stage.directory.path().display();
    story.say(
        "broker",
        format_args!("listens on {}, data in {data}", stage.bootstrap),
    );
    let started = Instant::now();
    stage.produce(flights, story.bar()).await?;
    story.bar().reset();
    story.bar().set_message("counted");
    let unkeyed = flights
        .rows()
        .filter(|row| flights::key(row).is_none())
        .count();
    story.say(
        "producer",
        format_args!(
            "{} rows in {PARTITIONS} partitions of {TOPIC} in {:.1} s; key: tail number ({unkeyed} rows have none)",
            grouped(rows),
            started.elapsed().as_secs_f64(),
        ),
    );
    Ok(())
}

/// Who plays, and where.
struct Troupe<'a> {
    story: &'a Arc<Story>,
    stage: &'a Stage,
    /// Set by the one handler that panics.
    stumble: Arc<AtomicBool>,
}

impl Troupe<'_> {
    async fn enter(&self, name: &'static str) -> Result<Member, Failure> {
        let sink = self.story.sink(name);
        let joined = Member::join(&self.stage.client, sink, Some(Arc::clone(&self.stumble))).await;
        joined.map_err(|error| Failure::demo(format_args!("{name} cannot join: {error}")))
    }

    /// Three members share the partitions; one of them is a process of its own.
    async fn first_act(&self) -> Result<(Member, ChildMember, Member), Failure> {
        let bert = ChildMember::start(&self.stage.bootstrap, self.story.sink(BERT))
            .map_err(Failure::demo)?;
        let (anna, carla) = tokio::try_join!(self.enter(ANNA), self.enter(CARLA))?;
        self.story.say(
            "demo",
            format_args!("{ANNA}, {BERT} (process {}) and {CARLA} join the group {GROUP}; their handlers take it slowly", bert.pid),
        );
        let settled = self.settled(&[ANNA, BERT, CARLA], -1).await;
        settled.map(|_generation| (anna, bert, carla))
    }

    /// Half way one of them is killed. Returns the generation before, and the one that forms without it.
    async fn second_act(&self, bert: ChildMember, rows: u64) -> Result<(i32, i32), Failure> {
        let half = format!("half of the rows, some of them by {BERT}");
        let before = self.story.until(&half, |happened| {
            let half = happened.ledger.distinct() >= rows / 2 && happened.rows.contains_key(BERT);
            half.then(|| happened.generation())
        });
        let before = before.await?;
        let reasons = self.reasons().await;
        let pid = bert.pid;
        bert.kill().await.map_err(Failure::demo)?;
        let counted = self.story.happened().ledger.distinct();
        self.story.say(
            "demo",
            format_args!(
                "{} rows counted: kill -9 {pid}, {BERT} does not leave the group",
                grouped(counted)
            ),
        );
        let after = self.settled(&[ANNA, CARLA], before).await?;
        self.say_why(&reasons).await;
        Ok((before, after))
    }

    /// A member is added.
    async fn third_act(&self) -> Result<Member, Failure> {
        let reasons = self.reasons().await;
        let before = self.story.happened().generation();
        self.story.say("demo", format_args!("{DORA} joins"));
        let dora = self.enter(DORA).await?;
        self.settled(&[ANNA, CARLA, DORA], before).await?;
        self.say_why(&reasons).await;
        Ok(dora)
    }

    /// Everything is counted and everybody leaves. Returns the lag, and how many of how many left in order.
    async fn last_act(
        &self,
        members: [Member; 3],
        rows: u64,
    ) -> Result<(i64, (usize, usize)), Failure> {
        self.story
            .until("every row", |happened| {
                (happened.ledger.distinct() >= rows).then_some(())
            })
            .await?;
        self.story
            .say("demo", "every row is counted; all commit and leave");
        let of = members.len();
        let [one, two, three] = members.map(Member::leave);
        let (one, two, three) = tokio::join!(one, two, three);
        let left = [one, two, three]
            .into_iter()
            .filter(|report| report.drained)
            .count();
        let ends = self.stage.ends().await.map_err(Failure::demo)?;
        let committed = self.stage.committed().await.map_err(Failure::demo)?;
        let lag = ends
            .iter()
            .map(|(partition, end)| end - committed.get(partition).unwrap_or(&0))
            .sum();
        Ok((lag, (left, of)))
    }

    /// Waits for a generation after `before` in which exactly these members own everything.
    async fn settled(&self, members: &[&str], before: i32) -> Result<i32, Failure> {
        let what = format!("a new generation of {}", members.join(", "));
        let settled = self.story.until(&what, |happened| {
            happened
                .settled(members, ALL_PARTITIONS)
                .filter(|generation| *generation > before)
        });
        settled.await
    }

    /// The coordinator's reasons up to now. For telling only: without them the demo goes on.
    async fn reasons(&self) -> BTreeMap<String, u64> {
        self.stage.rebalance_reasons().await.unwrap_or_default()
    }

    /// Tells what the coordinator's metrics have more than `before`.
    async fn say_why(&self, before: &BTreeMap<String, u64>) {
        let mut now = self.reasons().await;
        now.retain(|reason, count| before.get(reason) != Some(count));
        if !now.is_empty() {
            let reasons: Vec<String> = now.into_keys().collect();
            self.story.say(
                "coordinator",
                format_args!("rebalanced the group, reason {}", reasons.join(", ")),
            );
        }
    }
}

fn metrics_note(stage: &Stage, series: usize) -> String {
    match stage.admin {
        Some(admin) => format!(
            "metrics: {series} series at http://{admin}/metrics while the broker runs (demo --keep)\n"
        ),
        None => String::new(),
    }
}

fn invitation(stage: &Stage) -> String {
    let bootstrap = &stage.bootstrap;
    format!(
        "\nThe broker stays until Ctrl-C; its data goes with it. To play with it:\n\
         \x20 callboard topic describe {TOPIC} --bootstrap {bootstrap}\n\
         \x20 callboard consume {TOPIC} --group mine --from earliest --max 5 --bootstrap {bootstrap}\n"
    )
}

/// The panic of the play is told as part of it; any other is printed as ever.
fn keep_the_planned_panic_quiet() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.payload().downcast_ref::<&str>() != Some(&STUMBLE) {
            usual(panic);
        }
    }));
}
