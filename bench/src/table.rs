//! The tables of `docs/benchmarks.md`, from results: what was measured, and what became of what was expected.

use std::fmt::Write as _;
use std::path::Path;

use crate::error::{BenchError, Doing};
use crate::expect::{Bound, FAMILIES, Family, Ratio};
use crate::machine;
use crate::results::{Results, Row, Run};
use crate::rows::{BEFORE, ECHO, KAFKA, KAFKA_FLUSHED, Kind, OURS, OURS_UNSYNCED};

/// Between these lines of the page the tables stand.
const BEGIN: &str = "<!-- measured: everything down to the end mark is written by the bench -->";
const END: &str = "<!-- end of what was measured -->";

/// Columns come in this order.
const SUBJECTS: &[&str] = &[OURS, BEFORE, OURS_UNSYNCED, KAFKA, KAFKA_FLUSHED, ECHO];

/// Writes the tables into the page, or to stdout when it is `-`.
pub(crate) fn write(results: &Results, page: &Path) -> Result<(), BenchError> {
    let tables = tables(results);
    if page == Path::new("-") {
        print!("{tables}");
        return Ok(());
    }
    let doing = || format!("writing {}", page.display());
    let text = std::fs::read_to_string(page).doing(doing)?;
    let text = between_marks(&text, &tables).ok_or_else(|| {
        BenchError::Usage(format!(
            "{} has not the two marks of the bench",
            page.display()
        ))
    })?;
    std::fs::write(page, text).doing(doing)
}

fn between_marks(page: &str, tables: &str) -> Option<String> {
    let (head, rest) = page.split_once(BEGIN)?;
    let (_, tail) = rest.split_once(END)?;
    Some(format!("{head}{BEGIN}\n\n{tables}\n{END}{tail}"))
}

/// All of it.
fn tables(results: &Results) -> String {
    let mut text = machine::describe();
    let rows = Kind::all().into_iter().filter_map(|kind| {
        let row = results.get(&kind.name())?;
        Some((kind, row))
    });
    let rows: Vec<(Kind, &Row)> = rows.collect();
    let loads: Vec<f64> = rows.iter().map(|(_, row)| row.load).collect();
    let runs: Vec<f64> = rows.iter().map(|(_, row)| row.runs.len() as f64).collect();
    if let (Some(loads), Some(runs)) = (Spread::of(loads), Spread::of(runs)) {
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(
            text,
            "Runs of a row: {}. Load average when rows began: {}.",
            runs.short(),
            loads.short()
        );
    }
    for family in FAMILIES {
        let rows: Vec<_> = rows
            .iter()
            .filter(|(kind, _)| (family.has)(*kind))
            .copied()
            .collect();
        if !rows.is_empty() {
            of_family(family, &rows, &mut text);
        }
    }
    text
}

fn of_family(family: &Family, rows: &[(Kind, &Row)], text: &mut String) {
    let _ = writeln!(text, "\n### {}\n\n{}\n", family.title, family.about);
    let columns: Vec<_> = family
        .columns
        .iter()
        .filter(|(figure, _)| rows.iter().any(|(_, row)| has(&row.runs, figure)))
        .collect();
    let _ = write!(text, "| row | who |");
    for (_, heading) in &columns {
        let _ = write!(text, " {heading} |");
    }
    let _ = writeln!(text, "\n|---|---|{}", "---:|".repeat(columns.len()));
    for (_, row) in rows {
        for who in SUBJECTS {
            if !row.runs.iter().any(|run| run.contains_key(*who)) {
                continue;
            }
            let _ = write!(text, "| {} | {who} |", row.row);
            for (figure, _) in &columns {
                let found = row
                    .runs
                    .iter()
                    .filter_map(|run| run.get(*who)?.get(*figure));
                let cell = Spread::of(found.copied().collect());
                let _ = write!(
                    text,
                    " {} |",
                    cell.map_or(String::new(), |cell| cell.short())
                );
            }
            let _ = writeln!(text);
        }
    }
    since_before(&columns, rows, text);
    let mut compared = String::new();
    for ratio in family.ratios {
        for (kind, row) in rows {
            of_ratio(ratio, *kind, row, &mut compared);
        }
    }
    if !compared.is_empty() {
        let _ = writeln!(
            text,
            "\n| row | compared | expected | measured | as expected |\n|---|---|---|---:|---|"
        );
        text.push_str(&compared);
    }
}

/// What became of each figure since the older program, where one was measured beside ours: ratios within runs.
fn since_before(columns: &[&(&str, &str)], rows: &[(Kind, &Row)], text: &mut String) {
    let both = |run: &Run| run.contains_key(BEFORE) && run.contains_key(OURS);
    let rows = rows.iter().filter(|(_, row)| row.runs.iter().any(both));
    let mut lines = String::new();
    for (_, row) in rows {
        let _ = write!(lines, "| {} |", row.row);
        for (figure, _) in columns {
            let of = |run: &Run, who| run.get(who)?.get(*figure).copied();
            let ratios = row.runs.iter().filter_map(|run| {
                let before = of(run, BEFORE).filter(|figure| *figure != 0.0)?;
                Some(of(run, OURS)? / before)
            });
            let cell = Spread::of(ratios.collect());
            let _ = write!(
                lines,
                " {} |",
                cell.map_or(String::new(), |cell| cell.said(hundredths))
            );
        }
        lines.push('\n');
    }
    if lines.is_empty() {
        return;
    }
    let _ = write!(text, "\n| row, ours / before |");
    for (_, heading) in columns {
        let _ = write!(text, " {heading} |");
    }
    let _ = writeln!(text, "\n|---|{}", "---:|".repeat(columns.len()));
    text.push_str(&lines);
}

fn hundredths(ratio: f64) -> String {
    format!("{ratio:.2}")
}

fn of_ratio(ratio: &Ratio, kind: Kind, row: &Row, text: &mut String) {
    let found = row
        .runs
        .iter()
        .filter_map(|run| ratio.in_run(run))
        .collect();
    let Some(found) = Spread::of(found) else {
        return;
    };
    let say = if ratio.to.is_some() { fraction } else { short };
    let (expected, verdict) = match (ratio.expected)(kind) {
        None => ("nothing said".to_owned(), ""),
        Some(bound) => (
            match bound {
                Bound::AtLeast(least) => format!("at least {}", say(least)),
                Bound::AtMost(most) => format!("at most {}", say(most)),
            },
            if bound.holds(found.median) {
                "yes"
            } else {
                "**no**"
            },
        ),
    };
    let _ = writeln!(
        text,
        "| {} | {} | {expected} | {} | {verdict} |",
        row.row,
        ratio.title,
        found.said(say)
    );
}

fn has(runs: &[Run], figure: &str) -> bool {
    runs.iter()
        .any(|run| run.values().any(|figures| figures.contains_key(figure)))
}

/// The middle of some figures and their ends.
struct Spread {
    median: f64,
    least: f64,
    most: f64,
}

impl Spread {
    /// None when there are none.
    fn of(mut figures: Vec<f64>) -> Option<Self> {
        figures.sort_by(f64::total_cmp);
        let middle = figures.len() / 2;
        let median = if figures.len() % 2 == 1 {
            *figures.get(middle)?
        } else {
            (figures.get(middle.checked_sub(1)?)? + figures.get(middle)?) / 2.0
        };
        Some(Self {
            median,
            least: *figures.first()?,
            most: *figures.last()?,
        })
    }

    fn short(&self) -> String {
        self.said(short)
    }

    fn said(&self, say: fn(f64) -> String) -> String {
        let (median, least, most) = (say(self.median), say(self.least), say(self.most));
        if least == most {
            median
        } else {
            format!("{median} ({least}–{most})")
        }
    }
}

/// Three digits.
fn short(figure: f64) -> String {
    let size = figure.abs();
    if size >= 999_500.0 {
        format!("{:.2} M", figure / 1e6)
    } else if size >= 9_995.0 {
        format!("{:.1} k", figure / 1e3)
    } else if size >= 99.95 || size.fract() == 0.0 {
        format!("{figure:.0}")
    } else if size >= 9.995 {
        format!("{figure:.1}")
    } else {
        format!("{figure:.2}")
    }
}

/// A ratio as one says it.
fn fraction(ratio: f64) -> String {
    if ratio > 0.0 && ratio < 0.5 {
        format!("1/{}", short(1.0 / ratio))
    } else {
        short(ratio)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Figures;

    fn run(figures: [(&str, f64); 3]) -> Run {
        let figure = |rate| Figures::from([("rate".to_owned(), rate)]);
        figures
            .into_iter()
            .map(|(who, rate)| (who.to_owned(), figure(rate)))
            .collect()
    }

    #[test]
    fn ratios_are_formed_within_a_run_and_their_middle_counts() {
        let runs = vec![
            run([
                (OURS, 60_000.0),
                (KAFKA, 10_000.0),
                (KAFKA_FLUSHED, 6_000.0),
            ]),
            run([
                (OURS, 30_000.0),
                (KAFKA, 10_000.0),
                (KAFKA_FLUSHED, 6_000.0),
            ]),
            run([
                (OURS, 50_000.0),
                (KAFKA, 50_000.0),
                (KAFKA_FLUSHED, 5_000.0),
            ]),
        ];
        let kind = Kind::Commit {
            connections: 100,
            in_flight: 10,
        };
        let row = Row {
            row: kind.name(),
            load: 0.0,
            runs,
        };
        let family = FAMILIES.iter().find(|family| (family.has)(kind)).unwrap();
        let mut text = String::new();
        of_family(family, &[(kind, &row)], &mut text);
        assert!(
            text.contains("| commit/100x10 | ours | 50.0 k (30.0 k–60.0 k) |"),
            "{text}"
        );
        assert!(text.contains("| at least 5 | 10 (5–10) | yes |"), "{text}");
        assert!(text.contains("| at least 2 | 3 (1–6) | yes |"), "{text}");
    }

    #[test]
    fn an_older_program_is_compared_within_each_run() {
        let kind = Kind::Commit {
            connections: 100,
            in_flight: 10,
        };
        let run = |ours, before| run([(OURS, ours), (BEFORE, before), (KAFKA, 1.0)]);
        let row = Row {
            row: kind.name(),
            load: 0.0,
            runs: vec![run(60.0, 50.0), run(30.0, 20.0), run(20.0, 20.0)],
        };
        let family = FAMILIES.iter().find(|family| (family.has)(kind)).unwrap();
        let mut text = String::new();
        of_family(family, &[(kind, &row)], &mut text);
        assert!(
            text.contains("| row, ours / before | a second |\n|---|---:|\n| commit/100x10 | 1.20 (1.00–1.50) |\n"),
            "{text}"
        );
    }

    #[test]
    fn a_page_keeps_what_stands_around_the_marks() {
        let page = format!("head\n{BEGIN}\nold\n{END}\ntail\n");
        let text = between_marks(&page, "new\n").unwrap();
        assert_eq!(text, format!("head\n{BEGIN}\n\nnew\n\n{END}\ntail\n"));
        assert_eq!(between_marks("no marks", "new"), None);
    }

    #[test]
    fn figures_have_three_digits() {
        let said = [1_234_567.0, 45_678.0, 456.7, 45.67, 4.567, 0.0456, 3.0].map(short);
        assert_eq!(
            said,
            ["1.23 M", "45.7 k", "457", "45.7", "4.57", "0.05", "3"]
        );
        assert_eq!([0.125, 1.25].map(fraction), ["1/8", "1.25"]);
    }

    #[test]
    fn every_row_belongs_to_one_family() {
        for kind in Kind::all() {
            let families = FAMILIES.iter().filter(|family| (family.has)(kind));
            assert_eq!(families.count(), 1, "{kind:?}");
        }
    }
}
