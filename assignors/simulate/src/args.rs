//! What can be said at the command line, and the way from there to a text.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use callboard_assignor::Assignor;
use clap::{Args, ValueEnum};

use crate::case::Case;
use crate::{SimulateError, text};

/// How many bytes of input are read at most: a group of 2,000 members and a million partitions has a tenth of that.
const INPUT_BYTES_MAX: u64 = 256 << 20;

/// What is simulated, and how it is printed.
#[derive(Clone, Debug, Args)]
pub struct SimulateArgs {
    /// The assignor by its protocol name. May be left out where there is only one, and with an --input that names it.
    #[arg(long, value_name = "NAME")]
    pub assignor: Option<String>,
    /// A group of so many members, m1, m2 …, which subscribe to all topics.
    #[arg(
        long,
        value_name = "N",
        required_unless_present = "input",
        conflicts_with = "input"
    )]
    pub members: Option<usize>,
    /// Its topics, NAME:PARTITIONS with commas.
    #[arg(
        long,
        value_name = "NAME:PARTITIONS",
        value_delimiter = ',',
        required_unless_present = "input",
        conflicts_with = "input"
    )]
    pub topics: Vec<String>,
    /// A member that leaves once all have what they were given; printed is the plan after that. May be repeated.
    #[arg(long, value_name = "MEMBER", conflicts_with = "input")]
    pub remove: Vec<String>,
    /// A whole group as JSON, - for stdin: `{"assignor", "topics": {name: {"partitions", "racks"?, "lag"?}}, "members":
    /// [{"id", "instance"?, "rack"?, "topics", "owned"?: {topic: [partition]}, "generation"?, "user_data"? (hex)}]}`.
    #[arg(long, value_name = "FILE")]
    pub input: Option<PathBuf>,
    /// How the plan is printed.
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "plain")]
    pub output: Format,
}

/// How an outcome is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A line a member.
    Plain,
    /// One object: `{"assignment": {member: {topic: [partition]}}, "withheld", "moved", "skew"}`.
    Json,
}

impl SimulateArgs {
    /// Simulates one of the `known` assignors. What to print, with the end of its last line.
    ///
    /// # Errors
    /// [`SimulateError::Input`] if the request has to change, [`SimulateError::Failed`] if the assignor fails.
    pub fn run(&self, known: &[&dyn Assignor]) -> Result<String, SimulateError> {
        let (place, mut case) = match &self.input {
            Some(path) => {
                let place = path.display().to_string();
                let case = Case::parse(&read(path)?).map_err(|error| {
                    SimulateError::Input(format!("{place}: {error}; --help has the form"))
                })?;
                (place, case)
            }
            None => ("--assignor".to_owned(), self.of_flags()?),
        };
        let assignor = self.choose(known, &case, &place)?;
        if !self.remove.is_empty() {
            let before = case.run(assignor)?;
            case.take_on(&before.assignment);
            for id in &self.remove {
                case.remove(id)
                    .map_err(|why| SimulateError::Input(format!("--remove {id}: {why}")))?;
            }
        }
        let outcome = case.run(assignor)?;
        Ok(match self.output {
            Format::Plain => text::plain(assignor, &case, &outcome),
            Format::Json => outcome.to_json() + "\n",
        })
    }

    fn of_flags(&self) -> Result<Case, SimulateError> {
        let mut topics = Vec::new();
        for topic in &self.topics {
            let parts = topic.rsplit_once(':');
            let parsed = parts.and_then(|(name, count)| Some((name, count.parse().ok()?)));
            let Some((name, partitions)) = parsed else {
                return Err(SimulateError::Input(format!(
                    "--topics {topic}: not a name and how many partitions; write it like orders:12"
                )));
            };
            topics.push((name.to_owned(), partitions));
        }
        Case::uniform(self.members.unwrap_or_default(), topics).map_err(SimulateError::Input)
    }

    fn choose<'a>(
        &self,
        known: &[&'a dyn Assignor],
        case: &Case,
        place: &str,
    ) -> Result<&'a dyn Assignor, SimulateError> {
        let names = || {
            let names: Vec<&str> = known.iter().map(|one| one.name()).collect();
            names.join(", ")
        };
        let (place, name) = match (&self.assignor, case.assignor()) {
            (Some(name), _) => ("--assignor", name.as_str()),
            (None, Some(name)) => (place, name),
            (None, None) => {
                return match known {
                    [one] => Ok(*one),
                    _ => Err(SimulateError::Input(format!(
                        "{place}: no assignor is named; choose one of {}",
                        names()
                    ))),
                };
            }
        };
        let found = known.iter().find(|one| one.name() == name).copied();
        found.ok_or_else(|| {
            SimulateError::Input(format!(
                "{place}: no assignor is called {name:?}; there are {}",
                names()
            ))
        })
    }
}

fn read(path: &Path) -> Result<String, SimulateError> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        let input = std::io::stdin().lock();
        input.take(INPUT_BYTES_MAX + 1).read_to_string(&mut text)
    } else {
        File::open(path).and_then(|file| file.take(INPUT_BYTES_MAX + 1).read_to_string(&mut text))
    };
    let place = path.display();
    match read {
        Ok(bytes) if bytes as u64 > INPUT_BYTES_MAX => Err(SimulateError::Input(format!(
            "{place}: more than {INPUT_BYTES_MAX} bytes; simulate a part of the group"
        ))),
        Ok(_) => Ok(text),
        Err(error) => Err(SimulateError::Input(format!(
            "{place}: cannot be read, {error}; name a file of JSON, or - for stdin"
        ))),
    }
}
