//! The language in which messages are declared, a line a field, and what follows from it: the struct with its defaults,
//! and how it is read, measured and written at every version.
//!
//! ```text
//! messages! {
//!     /// What it is for.
//!     request HeartbeatRequest (HEARTBEAT, versions 0-4, flexible 4+) answered by HeartbeatResponse {
//!         group_id: string (0+),
//!         group_instance_id: string (3+, null 3+, default null),
//!     }
//!     response … { … }
//!     struct … { … }
//! }
//! ```
//!
//! * A type is `bool`, `int8` to `int64`, `uuid`, `string`, `bytes`, `records`, the name of a struct, or an array `[t]`.
//! * The first word in parentheses is the versions that have the field. `null V`: the versions that take null, and the
//!   field is an `Option`. `tag N`: it is the tagged field N of those versions; tags of a struct stand in ascending
//!   order. `default X`: what an absent field is, instead of zero, false, empty. `ignorable`: at versions without it a
//!   value is dropped in silence; a field without the mark refuses to be written there with anything but its default.
//! * Versions are `N+`, `N-M`, or `N`.
//!
//! A struct that may be null has no notation yet: no message here has one.

/// The lowest and the highest of some versions; none of them when the lowest is above the highest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Versions(pub(crate) i16, pub(crate) i16);

impl Versions {
    pub(crate) const NONE: Self = Self(0, -1);

    #[inline]
    pub(crate) const fn has(self, version: i16) -> bool {
        self.0 <= version && version <= self.1
    }
}

/// What a line of a table says beside name and type.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    pub(crate) versions: Versions,
    pub(crate) null: Versions,
    pub(crate) tag: Option<u32>,
    pub(crate) ignorable: bool,
}

impl Facts {
    /// Whether the field stands in line at this version.
    #[inline]
    pub(crate) const fn in_line(&self, version: i16) -> bool {
        self.tag.is_none() && self.versions.has(version)
    }

    /// Whether the field is among the tagged ones at this version.
    #[inline]
    pub(crate) const fn tagged(&self, version: i16) -> bool {
        self.tag.is_some() && self.versions.has(version)
    }
}

/// The words in a field's parentheses, as [`Facts`].
macro_rules! facts {
    // Words one by one, each adding to what is known: versions, null versions, tag, ignorable.
    (@ $v:expr, $n:expr, $t:expr, $i:expr;) => {
        $crate::wire::table::Facts { versions: $v, null: $n, tag: $t, ignorable: $i }
    };
    (@ $v:expr, $n:expr, $t:expr, $i:expr; , $($rest:tt)*) => { facts!(@ $v, $n, $t, $i; $($rest)*) };
    (@ $v:expr, $n:expr, $t:expr, $i:expr; null $from:literal + $($rest:tt)*) => {
        facts!(@ $v, $crate::wire::table::Versions($from, i16::MAX), $t, $i; $($rest)*)
    };
    (@ $v:expr, $n:expr, $t:expr, $i:expr; null $from:literal - $to:literal $($rest:tt)*) => {
        facts!(@ $v, $crate::wire::table::Versions($from, $to), $t, $i; $($rest)*)
    };
    (@ $v:expr, $n:expr, $t:expr, $i:expr; tag $tag:literal $($rest:tt)*) => { facts!(@ $v, $n, Some($tag), $i; $($rest)*) };
    (@ $v:expr, $n:expr, $t:expr, $i:expr; ignorable $($rest:tt)*) => { facts!(@ $v, $n, $t, true; $($rest)*) };
    (@ $v:expr, $n:expr, $t:expr, $i:expr; default - $value:literal $($rest:tt)*) => { facts!(@ $v, $n, $t, $i; $($rest)*) };
    (@ $v:expr, $n:expr, $t:expr, $i:expr; default $value:tt $($rest:tt)*) => { facts!(@ $v, $n, $t, $i; $($rest)*) };
    ($from:literal + $($rest:tt)*) => {
        facts!(@ $crate::wire::table::Versions($from, i16::MAX), $crate::wire::table::Versions::NONE, None, false; $($rest)*)
    };
    ($from:literal - $to:literal $($rest:tt)*) => {
        facts!(@ $crate::wire::table::Versions($from, $to), $crate::wire::table::Versions::NONE, None, false; $($rest)*)
    };
    ($only:literal $($rest:tt)*) => {
        facts!(@ $crate::wire::table::Versions($only, $only), $crate::wire::table::Versions::NONE, None, false; $($rest)*)
    };
}

/// The Rust type of a field, without a look at null.
macro_rules! value_type {
    ($a:lifetime, bool) => { bool };
    ($a:lifetime, int8) => { i8 };
    ($a:lifetime, int16) => { i16 };
    ($a:lifetime, int32) => { i32 };
    ($a:lifetime, int64) => { i64 };
    ($a:lifetime, uuid) => { $crate::Uuid };
    ($a:lifetime, string) => { ::std::borrow::Cow<$a, str> };
    ($a:lifetime, bytes) => { ::std::borrow::Cow<$a, [u8]> };
    ($a:lifetime, records) => { $crate::RecordBytes<$a> };
    ($a:lifetime, [$element:tt]) => { ::std::vec::Vec<value_type!($a, $element)> };
    ($a:lifetime, $name:ident) => { $name<$a> };
}

/// The Rust type of a field: optional when some version takes null.
macro_rules! field_type {
    ($a:lifetime, $type:tt;) => { value_type!($a, $type) };
    ($a:lifetime, $type:tt; default $value:tt $($rest:tt)*) => { field_type!($a, $type; $($rest)*) };
    ($a:lifetime, $type:tt; null $($rest:tt)*) => { ::std::option::Option<value_type!($a, $type)> };
    ($a:lifetime, $type:tt; $word:tt $($rest:tt)*) => { field_type!($a, $type; $($rest)*) };
}

/// The default of a field.
macro_rules! default_value {
    () => { $crate::wire::Field::initial() };
    (default null $($rest:tt)*) => { None };
    (default - $value:literal $($rest:tt)*) => { -$value };
    (default $value:literal $($rest:tt)*) => { $value };
    ($word:tt $($rest:tt)*) => { default_value!($($rest)*) };
}

/// The first flexible version of a message.
macro_rules! flexible_from {
    (none) => {
        i16::MAX
    };
    ($from:literal +) => {
        $from
    };
}

/// A struct from its table.
macro_rules! table {
    ($(#[$doc:meta])* $name:ident { $( $(#[$field_doc:meta])* $field:ident : $type:tt ( $($facts:tt)* ) ,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name<'a> {
            $(
                $(#[$field_doc])*
                #[doc = concat!("`", stringify!($field), ": ", stringify!($type), "` in versions ", stringify!($($facts)*), ".")]
                pub $field: field_type!('a, $type; $($facts)*),
            )*
            /// Every struct borrows from its frame, or may in another version of Kafka.
            #[doc(hidden)]
            pub frame: ::std::marker::PhantomData<&'a [u8]>,
        }

        impl Default for $name<'_> {
            fn default() -> Self {
                Self { $($field: default_value!($($facts)*),)* frame: ::std::marker::PhantomData }
            }
        }

        impl<'a> $crate::wire::Field<'a> for $name<'a> {
            fn initial() -> Self {
                Self::default()
            }

            fn smallest(at: $crate::wire::Layout) -> usize {
                usize::from(at.flexible)
                    $(+ {
                        const FACTS: $crate::wire::table::Facts = facts!($($facts)*);
                        if FACTS.in_line(at.version) {
                            <field_type!('a, $type; $($facts)*) as $crate::wire::Field<'a>>::smallest(at)
                        } else {
                            0
                        }
                    })*
            }

            fn read(from: &mut $crate::wire::Reader<'a>, _null: bool) -> Result<Self, $crate::wire::DecodeError> {
                let at = from.layout();
                $(
                    #[allow(unused_mut, reason = "only tagged fields change again")]
                    let mut $field: field_type!('a, $type; $($facts)*) = {
                        const FACTS: $crate::wire::table::Facts = facts!($($facts)*);
                        if FACTS.in_line(at.version) {
                            $crate::wire::Field::read(from, FACTS.null.has(at.version))?
                        } else {
                            default_value!($($facts)*)
                        }
                    };
                )*
                for _ in 0..if at.flexible { from.tag_count()? } else { 0 } {
                    let (tag, size) = from.tag()?;
                    $({
                        const FACTS: $crate::wire::table::Facts = facts!($($facts)*);
                        if FACTS.tagged(at.version) && FACTS.tag == Some(tag) {
                            $field = $crate::wire::Field::read(from, FACTS.null.has(at.version))?;
                            continue;
                        }
                    })*
                    from.skip(size)?;
                }
                Ok(Self { $($field,)* frame: ::std::marker::PhantomData })
            }

            fn size(&self, at: $crate::wire::Layout) -> usize {
                let mut size = 0;
                let mut tags = 0_u32;
                $({
                    const FACTS: $crate::wire::table::Facts = facts!($($facts)*);
                    if FACTS.in_line(at.version) {
                        size += self.$field.size(at);
                    } else if FACTS.tagged(at.version) && !$crate::wire::table::is(&self.$field, default_value!($($facts)*)) {
                        tags += 1;
                        size += $crate::wire::table::tagged_size(FACTS.tag, self.$field.size(at));
                    }
                })*
                if at.flexible {
                    size += $crate::varint::size_u32(tags);
                }
                size
            }

            fn shared(&self) -> usize {
                0 $(+ $crate::wire::Field::shared(&self.$field))*
            }

            fn write(
                &self,
                to: &mut $crate::wire::Writer,
                _null: bool,
                _name: &'static str,
            ) -> Result<(), $crate::wire::EncodeError> {
                let at = to.layout();
                let mut tags = 0_u32;
                $({
                    const FACTS: $crate::wire::table::Facts = facts!($($facts)*);
                    if FACTS.in_line(at.version) {
                        self.$field.write(to, FACTS.null.has(at.version), stringify!($field))?;
                    } else if FACTS.tagged(at.version) {
                        tags += u32::from(!$crate::wire::table::is(&self.$field, default_value!($($facts)*)));
                    } else if !FACTS.ignorable && !$crate::wire::table::is(&self.$field, default_value!($($facts)*)) {
                        return Err($crate::wire::Unwritable::NotInVersion(at.version).of(stringify!($field)));
                    }
                })*
                if !at.flexible {
                    return Ok(());
                }
                to.varint(tags);
                $({
                    const FACTS: $crate::wire::table::Facts = facts!($($facts)*);
                    if FACTS.tagged(at.version) && !$crate::wire::table::is(&self.$field, default_value!($($facts)*)) {
                        to.varint(FACTS.tag.unwrap_or_default());
                        to.varint($crate::wire::table::tag_length(self.$field.size(at)));
                        self.$field.write(to, FACTS.null.has(at.version), stringify!($field))?;
                    }
                })*
                Ok(())
            }

            #[cfg(test)]
            fn random(random: &mut $crate::testing::Random, at: $crate::wire::Layout, _null: bool) -> Self {
                let mut value = Self::default();
                $({
                    const FACTS: $crate::wire::table::Facts = facts!($($facts)*);
                    if FACTS.versions.has(at.version) {
                        value.$field = $crate::wire::Field::random(random, at, FACTS.null.has(at.version));
                    }
                })*
                value
            }

            #[cfg(test)]
            fn json(&self, at: $crate::wire::Layout) -> ::serde_json::Value {
                let mut object = ::serde_json::Map::new();
                $({
                    const FACTS: $crate::wire::table::Facts = facts!($($facts)*);
                    let untagged = FACTS.in_line(at.version);
                    if untagged || FACTS.tagged(at.version) && !$crate::wire::table::is(&self.$field, default_value!($($facts)*)) {
                        object.insert($crate::testing::camel(stringify!($field)), self.$field.json(at));
                    }
                })*
                object.into()
            }
        }
    };
}

/// A message: its struct and its place among the APIs.
macro_rules! message {
    ($(#[$doc:meta])* $name:ident ($key:ident, versions $min:literal - $max:literal, flexible $($flexible:tt)*) { $($fields:tt)* }) => {
        table! { $(#[$doc])* $name { $($fields)* } }

        impl<'a> $crate::Message<'a> for $name<'a> {
            const KEY: $crate::ApiKey = $crate::ApiKey::$key;
            const NAME: &'static str = stringify!($name);
            const VERSIONS: ::std::ops::RangeInclusive<i16> = $min..=$max;
            const FLEXIBLE_FROM: i16 = flexible_from!($($flexible)*);
        }
    };
}

/// The tables of an API.
macro_rules! messages {
    () => {};
    ($(#[$doc:meta])* request $name:ident ($($head:tt)*) answered by $response:ident { $($fields:tt)* } $($rest:tt)*) => {
        message! { $(#[$doc])* $name ($($head)*) { $($fields)* } }

        impl<'a> $crate::Request<'a> for $name<'a> {
            type Response<'r> = $response<'r>;
        }

        messages! { $($rest)* }
    };
    ($(#[$doc:meta])* response $name:ident ($($head:tt)*) { $($fields:tt)* } $($rest:tt)*) => {
        message! { $(#[$doc])* $name ($($head)*) { $($fields)* } }
        messages! { $($rest)* }
    };
    ($(#[$doc:meta])* struct $name:ident { $($fields:tt)* } $($rest:tt)*) => {
        table! { $(#[$doc])* $name { $($fields)* } }
        messages! { $($rest)* }
    };
}

/// Comparison of a field with its default, whose type nothing else tells.
#[inline]
pub(crate) fn is<T: PartialEq>(value: &T, default: T) -> bool {
    *value == default
}

/// How many bytes a tagged field takes with its tag and its size.
pub(crate) fn tagged_size(tag: Option<u32>, size: usize) -> usize {
    use crate::varint::size_u32;
    size_u32(tag.unwrap_or_default()) + size_u32(tag_length(size)) + size
}

/// The size of a tagged field as the wire says it. One of 4 GiB is refused with its frame.
pub(crate) fn tag_length(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}
