//! Kafka's messages from the table `testdata/kafka-4.2.0/messages.txt`, as JSON and back. It shares nothing with the
//! protocol crate on purpose: what the broker sends is read by somebody else's rules.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use serde_json::{Map, Value, json};

/// Versions something exists in.
#[derive(Clone, Debug, Default)]
struct Versions(Vec<RangeInclusive<i16>>);

impl Versions {
    fn parse(text: &str) -> Self {
        let number = |text: &str| text.parse().unwrap();
        let range = |part: &str| match (part.strip_suffix('+'), part.split_once('-')) {
            (Some(from), _) => number(from)..=i16::MAX,
            (_, Some((from, to))) => number(from)..=number(to),
            _ => number(part)..=number(part),
        };
        Self(text.split(',').map(range).collect())
    }

    fn has(&self, version: i16) -> bool {
        self.0.iter().any(|range| range.contains(&version))
    }
}

#[derive(Clone, Debug)]
enum Kind {
    /// A signed number of so many bytes.
    Int(usize),
    Bool,
    Uuid,
    Text,
    /// Bytes and records.
    Bytes,
    Struct,
    Array(Box<Kind>),
}

#[derive(Clone, Debug)]
struct Field {
    name: String,
    kind: Kind,
    versions: Versions,
    null: Versions,
    tag: Option<(u32, Versions)>,
    default: Option<String>,
    classic: bool,
    inner: Vec<Field>,
}

/// One message: a request, a response or a header.
#[derive(Debug)]
pub(crate) struct Schema {
    pub(crate) key: i16,
    flexible: Option<i16>,
    fields: Vec<Field>,
}

/// All of them, by name.
pub(crate) struct Schemas(HashMap<String, Schema>);

impl Schemas {
    pub(crate) fn read() -> Self {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../testdata/kafka-4.2.0/messages.txt"
        );
        let text = std::fs::read_to_string(path).unwrap();
        let lines = text
            .lines()
            .filter(|line| !line.starts_with('#') && !line.trim().is_empty());
        let mut lines = lines.peekable();
        let mut all = HashMap::new();
        while let Some(head) = lines.next() {
            let words: Vec<&str> = head.split(' ').collect();
            let after = |word| {
                let at = words.iter().position(|one| *one == word)?;
                words.get(at + 1).copied()
            };
            let flexible =
                after("flexible").and_then(|from| from.trim_end_matches('+').parse().ok());
            let schema = Schema {
                key: after("key").and_then(|key| key.parse().ok()).unwrap_or(-1),
                flexible,
                fields: fields(&mut lines, 2),
            };
            all.insert(words[0].to_owned(), schema);
        }
        Self(all)
    }

    pub(crate) fn header(&self) -> &Schema {
        &self.0["RequestHeader"]
    }

    pub(crate) fn request(&self, api: &str) -> &Schema {
        &self.0[&format!("{api}Request")]
    }

    pub(crate) fn response(&self, api: &str) -> &Schema {
        &self.0[&format!("{api}Response")]
    }
}

fn fields<'a>(
    lines: &mut std::iter::Peekable<impl Iterator<Item = &'a str>>,
    indent: usize,
) -> Vec<Field> {
    let mut out = Vec::new();
    let depth = |line: &str| line.len() - line.trim_start().len();
    while let Some(line) = lines.next_if(|line| depth(line) == indent) {
        let mut words = line.trim().split(' ');
        let (name, kind) = (words.next().unwrap(), words.next().unwrap());
        let mut field = Field {
            name: name.to_owned(),
            kind: kind_of(kind),
            versions: Versions::parse(words.next().unwrap()),
            null: Versions::default(),
            tag: None,
            default: None,
            classic: false,
            inner: fields(lines, indent + 2),
        };
        while let Some(word) = words.next() {
            match word {
                "null" => field.null = Versions::parse(words.next().unwrap()),
                "tag" => {
                    let number = words.next().unwrap().parse().unwrap();
                    field.tag = Some((number, Versions::parse(words.next().unwrap())));
                }
                "default" => field.default = words.next().map(str::to_owned),
                "classic" => field.classic = true,
                "ignorable" => {}
                word => panic!("{word} in {line}"),
            }
        }
        out.push(field);
    }
    out
}

fn kind_of(text: &str) -> Kind {
    match text {
        "int8" => Kind::Int(1),
        "int16" | "uint16" => Kind::Int(2),
        "int32" => Kind::Int(4),
        "int64" | "float64" => Kind::Int(8),
        "bool" => Kind::Bool,
        "uuid" => Kind::Uuid,
        "string" => Kind::Text,
        "bytes" | "records" => Kind::Bytes,
        text => match text
            .strip_prefix('[')
            .and_then(|text| text.strip_suffix(']'))
        {
            Some(element) => Kind::Array(Box::new(kind_of(element))),
            None => Kind::Struct,
        },
    }
}

impl Field {
    fn in_line(&self, version: i16) -> bool {
        self.versions.has(version) && self.tag_at(version).is_none()
    }

    fn tag_at(&self, version: i16) -> Option<u32> {
        let (tag, versions) = self.tag.as_ref()?;
        versions.has(version).then_some(*tag)
    }

    /// What a field that is not set has.
    fn initial(&self, kind: &Kind) -> Value {
        match (self.default.as_deref(), kind) {
            (Some("null"), _) => Value::Null,
            (Some(text), Kind::Int(_)) => json!(text.parse::<i64>().unwrap()),
            (Some(text), Kind::Bool) => json!(text == "true"),
            (_, Kind::Int(_)) => json!(0),
            (_, Kind::Bool) => json!(false),
            (_, Kind::Uuid) => json!("00000000-0000-0000-0000-000000000000"),
            (_, Kind::Text) => json!(""),
            (_, Kind::Bytes) => json!({"hex": ""}),
            (_, Kind::Array(_)) => json!([]),
            (_, Kind::Struct) => Value::Object(
                self.inner
                    .iter()
                    .map(|field| (field.name.clone(), field.initial(&field.kind)))
                    .collect(),
            ),
        }
    }
}

impl Schema {
    pub(crate) fn is_flexible(&self, version: i16) -> bool {
        self.flexible.is_some_and(|from| version >= from)
    }

    /// The bytes of a message with these fields, the rest at their defaults.
    pub(crate) fn encode(&self, version: i16, fields: &Value) -> Vec<u8> {
        let mut out = Vec::new();
        write_struct(
            &mut out,
            &self.fields,
            fields,
            version,
            self.is_flexible(version),
        );
        out
    }

    /// The fields of a message; an error in words when it is none, or when bytes are left over.
    pub(crate) fn decode(&self, version: i16, bytes: &[u8]) -> Result<Value, String> {
        let mut input = Input(bytes);
        let value = read_struct(&mut input, &self.fields, version, self.is_flexible(version))?;
        match input.0.len() {
            0 => Ok(value),
            left => Err(format!("{left} bytes are left over")),
        }
    }
}

fn write_struct(out: &mut Vec<u8>, fields: &[Field], value: &Value, version: i16, flexible: bool) {
    let given = |field: &Field| match value.get(&field.name) {
        Some(value) => value.clone(),
        None => field.initial(&field.kind),
    };
    for field in fields.iter().filter(|field| field.in_line(version)) {
        write(out, field, &field.kind, &given(field), version, flexible);
    }
    if !flexible {
        return;
    }
    let tagged: Vec<_> = fields
        .iter()
        .filter_map(|field| Some((field.tag_at(version)?, field)))
        .filter(|(_, field)| given(field) != field.initial(&field.kind))
        .collect();
    varint(out, tagged.len());
    for (tag, field) in tagged {
        let mut bytes = Vec::new();
        write(
            &mut bytes,
            field,
            &field.kind,
            &given(field),
            version,
            flexible,
        );
        varint(out, tag as usize);
        varint(out, bytes.len());
        out.extend(bytes);
    }
}

fn write(
    out: &mut Vec<u8>,
    field: &Field,
    kind: &Kind,
    value: &Value,
    version: i16,
    flexible: bool,
) {
    let compact = flexible && !field.classic;
    match kind {
        Kind::Int(bytes) => {
            let number = value
                .as_i64()
                .unwrap_or_else(|| panic!("{}: {value}", field.name));
            out.extend(&number.to_be_bytes()[8 - bytes..]);
        }
        Kind::Bool => out.push(u8::from(value.as_bool().unwrap())),
        Kind::Uuid => out.extend(unhex(&value.as_str().unwrap().replace('-', ""))),
        Kind::Text => write_bytes(out, value.as_str().map(str::as_bytes), 2, compact),
        Kind::Bytes => {
            let bytes = value.get("hex").and_then(Value::as_str).map(unhex);
            write_bytes(out, bytes.as_deref(), 4, compact);
        }
        Kind::Array(element) => {
            let elements = value.as_array();
            write_length(out, elements.map(Vec::len), 4, compact);
            for one in elements.into_iter().flatten() {
                write(out, field, element, one, version, flexible);
            }
        }
        Kind::Struct => write_struct(out, &field.inner, value, version, flexible),
    }
}

fn write_bytes(out: &mut Vec<u8>, bytes: Option<&[u8]>, length: usize, compact: bool) {
    write_length(out, bytes.map(<[u8]>::len), length, compact);
    out.extend(bytes.unwrap_or_default());
}

fn write_length(out: &mut Vec<u8>, length: Option<usize>, bytes: usize, compact: bool) {
    match (compact, length) {
        (true, length) => varint(out, length.map_or(0, |length| length + 1)),
        (false, length) => {
            let length = length.map_or(-1, |length| i64::try_from(length).unwrap());
            out.extend(&length.to_be_bytes()[8 - bytes..]);
        }
    }
}

fn varint(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7f).unwrap() | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap());
}

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, bytes: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.0.split_at_checked(bytes).ok_or("it ends too early")?;
        self.0 = rest;
        Ok(taken)
    }

    fn int(&mut self, bytes: usize) -> Result<i64, String> {
        let taken = self.take(bytes)?;
        let first = if taken[0] & 0x80 == 0 { 0 } else { -1 };
        Ok(taken
            .iter()
            .fold(first, |value, byte| (value << 8) | i64::from(*byte)))
    }

    fn varint(&mut self) -> Result<usize, String> {
        let mut value = 0;
        for shift in (0..35).step_by(7) {
            let byte = self.take(1)?[0];
            value |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err("a varint has no end".to_owned())
    }

    fn length(&mut self, bytes: usize, compact: bool) -> Result<Option<usize>, String> {
        if compact {
            return Ok(self.varint()?.checked_sub(1));
        }
        Ok(usize::try_from(self.int(bytes)?).ok())
    }
}

fn read_struct(
    input: &mut Input<'_>,
    fields: &[Field],
    version: i16,
    flexible: bool,
) -> Result<Value, String> {
    let mut out = Map::new();
    for field in fields.iter().filter(|field| field.in_line(version)) {
        let value = read(input, field, &field.kind, version, flexible)?;
        if value.is_null() && !field.null.has(version) {
            return Err(format!("{} is null", field.name));
        }
        out.insert(field.name.clone(), value);
    }
    let tagged = fields
        .iter()
        .filter(|field| field.tag_at(version).is_some());
    for field in tagged.clone() {
        out.insert(field.name.clone(), field.initial(&field.kind));
    }
    if flexible {
        for _ in 0..input.varint()? {
            let tag = input.varint()?;
            let size = input.varint()?;
            let mut bytes = Input(input.take(size)?);
            let known = tagged
                .clone()
                .find(|field| field.tag_at(version).map(|tag| tag as usize) == Some(tag));
            let field = known.ok_or_else(|| format!("tag {tag} is unknown"))?;
            out.insert(
                field.name.clone(),
                read(&mut bytes, field, &field.kind, version, flexible)?,
            );
        }
    }
    Ok(Value::Object(out))
}

fn read(
    input: &mut Input<'_>,
    field: &Field,
    kind: &Kind,
    version: i16,
    flexible: bool,
) -> Result<Value, String> {
    Ok(match kind {
        Kind::Int(bytes) => json!(input.int(*bytes)?),
        Kind::Bool => json!(input.take(1)?[0] != 0),
        Kind::Uuid => json!(uuid::Uuid::from_slice(input.take(16)?).unwrap().to_string()),
        Kind::Text => match input.length(2, flexible)? {
            Some(length) => json!(
                String::from_utf8(input.take(length)?.to_vec())
                    .map_err(|error| error.to_string())?
            ),
            None => Value::Null,
        },
        Kind::Bytes => match input.length(4, flexible)? {
            Some(length) => json!({"hex": hex(input.take(length)?)}),
            None => Value::Null,
        },
        Kind::Array(element) => match input.length(4, flexible)? {
            Some(count) => (0..count)
                .map(|_| read(input, field, element, version, flexible))
                .collect::<Result<_, _>>()?,
            None => Value::Null,
        },
        Kind::Struct => read_struct(input, &field.inner, version, flexible)?,
    })
}

/// Bytes of a text of hexadecimal digits.
pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    digits
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
