//! A file of results: from JSON, every part checked.
//!
//! Bounds: files are of at most [`MOST_BYTES`] bytes, JSON nests at most 128 deep (the reader's limit), and the states of a map
//! are of at most [`MOST_WORDS`] words together, since joining takes time by words and a state is short in JSON.

use super::losses::Lost;
use super::saved_type::{SavedType, read_integer};
use super::write::merging_name;
use super::{FORMAT, Held, MOST_BYTES, Results, Run, SavedMap, Script, VERSION, ValueType};
use crumbs_compiler::aggregation::{self, AggType, Bucket, Interval, Saved};
use crumbs_compiler::merging::Merging;
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// How many words the states of one map have at most, all together.
const MOST_WORDS: u64 = 1 << 30;

impl Results {
    /// Reads a file.
    ///
    /// # Errors
    /// Why it is none.
    pub fn read(file: &[u8]) -> Result<Self, String> {
        if file.len() as u64 > MOST_BYTES {
            return Err(format!("it has more than {} MiB", MOST_BYTES >> 20));
        }
        let json: Json = serde_json::from_slice(file).map_err(|error| match error.is_eof() {
            true => "it ends too early: its run was killed, or it was not copied as a whole".to_owned(),
            false => format!("it is no JSON: {error}"),
        })?;
        if json.get("format").and_then(Json::as_str) != Some(FORMAT) {
            return Err("it holds no results of crumbs".to_owned());
        }
        match json.get("version").and_then(Json::as_u64) {
            Some(VERSION) => {}
            Some(other) => {
                return Err(format!(
                    "it is of version {other}, and this crumbs reads {VERSION}"
                ));
            }
            None => return Err("it has no version".to_owned()),
        }
        let missing = |what: &str| format!("its `{what}` is missing or wrong");
        let script_json = json.get("script").ok_or_else(|| missing("script"))?;
        let script = script(script_json).ok_or_else(|| missing("script"))?;
        let hash = format!("{:016x}", script.hash());
        if script_json.get("hash").and_then(Json::as_str) != Some(&hash) {
            return Err(format!(
                "its script was changed: the hash of what it holds is {hash}"
            ));
        }
        let list = |what: &str| {
            json.get(what)
                .and_then(Json::as_array)
                .ok_or_else(|| missing(what))
        };
        let runs = list("runs")?.iter().map(run).collect::<Option<Vec<_>>>();
        let mut runs = runs
            .filter(|runs| !runs.is_empty())
            .ok_or_else(|| missing("runs"))?;
        runs.sort();
        let mut losses = BTreeMap::new();
        for json in list("losses")? {
            let (lost, total) = loss(json).ok_or_else(|| missing("losses"))?;
            losses.insert(lost, total);
        }
        let mut maps = BTreeMap::new();
        for json in list("maps")? {
            let name = json
                .get("name")
                .and_then(Json::as_str)
                .ok_or_else(|| missing("maps"))?;
            let map = map(json).map_err(|what| format!("its map @{name} is wrong: {what}"))?;
            if maps.insert(name.to_owned(), map).is_some() {
                return Err(format!("it has the map @{name} twice"));
            }
        }
        Ok(Self {
            crumbs: string(&json, "crumbs").ok_or_else(|| missing("crumbs"))?,
            script,
            runs,
            losses,
            maps,
        })
    }
}

fn string(json: &Json, name: &str) -> Option<String> {
    json.get(name)?.as_str().map(str::to_owned)
}

/// Text that may be `null`.
fn optional(json: &Json) -> Option<Option<String>> {
    match json {
        Json::Null => Some(None),
        Json::String(text) => Some(Some(text.clone())),
        _ => None,
    }
}

fn strings(json: &Json, name: &str) -> Option<Vec<String>> {
    let list = json.get(name)?.as_array()?.iter();
    list.map(|text| text.as_str().map(str::to_owned)).collect()
}

fn script(json: &Json) -> Option<Script> {
    let pairs = |name: &str| -> Option<Vec<(String, Option<String>)>> {
        let list = json.get(name)?.as_array()?.iter();
        list.map(|pair| Some((pair.get(0)?.as_str()?.to_owned(), optional(pair.get(1)?)?)))
            .collect()
    };
    Some(Script {
        name: string(json, "name")?,
        text: string(json, "text")?,
        imports: strings(json, "imports")?,
        params: strings(json, "params")?,
        named: pairs("named")?,
        config: pairs("config")?
            .into_iter()
            .map(|(name, value)| Some((name, value?)))
            .collect::<Option<_>>()?,
    })
}

fn run(json: &Json) -> Option<Run> {
    let time = |name: &str| read_integer(json.get(name)?).and_then(|time| u64::try_from(time).ok());
    Some(Run {
        host: string(json, "host")?,
        pid: u32::try_from(json.get("pid")?.as_u64()?).ok()?,
        start: time("start")?,
        end: time("end")?,
        rank: optional(json.get("rank")?)?,
        job: optional(json.get("job")?)?,
        launch: optional(json.get("launch")?)?,
    })
}

fn loss(json: &Json) -> Option<(Lost, u64)> {
    let map = optional(json.get("map")?)?;
    let lost = Lost::named(json.get("kind")?.as_str()?, map.as_deref())?;
    let total = u64::try_from(read_integer(json.get("count")?)?).ok()?;
    Some((lost, total))
}

fn map(json: &Json) -> Result<SavedMap, String> {
    let missing = |what: &str| format!("its `{what}` is missing or wrong");
    let key = match json.get("key") {
        Some(Json::Null) => None,
        key => Some(key.and_then(SavedType::read).ok_or_else(|| missing("key"))?),
    };
    let value = match json.get("aggregation") {
        Some(_) => ValueType::Aggregation(aggregation_type(json)?),
        None => {
            let ty = json.get("value").and_then(SavedType::read);
            ValueType::Plain(ty.ok_or_else(|| missing("value"))?)
        }
    };
    let merging = [Merging::Aggregate, Merging::Add, Merging::Same].into_iter();
    let merging = merging
        .filter(|merging| match (merging, &value) {
            (Merging::Aggregate, ValueType::Aggregation(_)) | (Merging::Same, ValueType::Plain(_)) => true,
            (Merging::Add, ValueType::Plain(ty)) => matches!(ty, SavedType::Int(_)),
            _ => false,
        })
        .find(|merging| json.get("merging").and_then(Json::as_str) == Some(merging_name(*merging)))
        .ok_or_else(|| missing("merging"))?;
    let unit = json
        .get("unit")
        .and_then(optional)
        .ok_or_else(|| missing("unit"))?;
    let entries = json.get("entries").and_then(Json::as_array);
    let entries = entries.ok_or_else(|| missing("entries"))?;
    let words = match &value {
        ValueType::Aggregation(ty) => u64::from(ty.words()),
        ValueType::Plain(_) => 1,
    };
    if words.saturating_mul(entries.len() as u64) > MOST_WORDS {
        return Err(format!(
            "{} states of {words} words are too many to be joined",
            entries.len()
        ));
    }
    let mut map = SavedMap {
        key,
        value,
        merging,
        unit,
        entries: BTreeMap::new(),
    };
    for (at, json) in entries.iter().enumerate() {
        let wrong = || format!("element {} is none of this map", at + 1);
        let key = match &map.key {
            None => None,
            Some(ty) => Some(
                json.get("key")
                    .and_then(|key| ty.read_value(key))
                    .ok_or_else(wrong)?,
            ),
        };
        let held = held(json, &map.value).ok_or_else(wrong)?;
        if map.entries.insert(key, held).is_some() {
            return Err(format!("element {} has a key that is there already", at + 1));
        }
    }
    Ok(map)
}

fn aggregation_type(json: &Json) -> Result<AggType, String> {
    let missing = |what: &str| format!("its `{what}` is missing or wrong");
    let name = json.get("aggregation").and_then(Json::as_str).unwrap_or_default();
    let id = aggregation::by_name(name).ok_or_else(|| missing("aggregation"))?;
    let params = json
        .get("params")
        .and_then(Json::as_array)
        .ok_or_else(|| missing("params"))?;
    let params = params
        .iter()
        .map(|param| i64::try_from(read_integer(param)?).ok());
    let ty = AggType {
        id,
        signed: json
            .get("signed")
            .and_then(Json::as_bool)
            .ok_or_else(|| missing("signed"))?,
        params: params.collect::<Option<_>>().ok_or_else(|| missing("params"))?,
    };
    let signature = ty.aggregation().signature();
    let wanted = signature.params.len() + usize::from(signature.choice.is_some());
    if ty.params.len() != wanted {
        return Err(missing("params"));
    }
    let (numbers, choice) = ty.params.split_at(signature.params.len());
    if !numbers.is_empty() {
        ty.aggregation().check_params(numbers)?;
    }
    let choices = signature.choice.map_or(0, |(_, choices)| choices.len() as i64);
    if choice.iter().any(|choice| !(0..choices).contains(choice)) {
        return Err(missing("params"));
    }
    Ok(ty)
}

fn held(json: &Json, ty: &ValueType) -> Option<Held> {
    if json.get("conflict").and_then(Json::as_bool) == Some(true) {
        return matches!(ty, ValueType::Plain(_)).then_some(Held::Conflict);
    }
    match ty {
        ValueType::Plain(ty) => ty.read_value(json.get("value")?).map(Held::Value),
        ValueType::Aggregation(ty) => {
            let saved = saved(json, ty)?;
            // What is read is what would be written: no fields too many, everything in order.
            let words = ty.aggregation().restore(ty, &saved)?;
            Some(Held::State(ty.aggregation().save(ty, &words)))
        }
    }
}

fn saved(json: &Json, ty: &AggType) -> Option<Saved> {
    let count = |json: &Json| u64::try_from(read_integer(json)?).ok();
    if let Some(bins) = json.get("bins") {
        let bound = |json: &Json| match json {
            Json::Null => Some(None),
            json => read_integer(json).map(Some),
        };
        let bucket = |json: &Json| {
            Some(Bucket {
                min: bound(json.get(0)?)?,
                max: bound(json.get(1)?)?,
                count: count(json.get(2)?)?,
            })
        };
        return bins
            .as_array()?
            .iter()
            .map(bucket)
            .collect::<Option<_>>()
            .map(Saved::Buckets);
    }
    if let Some(intervals) = json.get("intervals") {
        let interval = |json: &Json| {
            Some(Interval {
                number: count(json.get(0)?)?,
                value: read_integer(json.get(1)?)?,
                more: count(json.get(2)?)?,
            })
        };
        let intervals = intervals.as_array()?.iter().map(interval);
        return intervals.collect::<Option<_>>().map(Saved::Intervals);
    }
    if json.get("empty").and_then(Json::as_bool) == Some(true) {
        return Some(Saved::Fields(Vec::new()));
    }
    // The names are those of the aggregation's own states.
    let aggregation = ty.aggregation();
    let template = match aggregation.save(ty, &vec![1; ty.words() as usize]) {
        Saved::Fields(fields) => fields,
        _ => return None,
    };
    let fields = template
        .into_iter()
        .map(|(name, _)| Some((name, read_integer(json.get(name)?)?)));
    fields.collect::<Option<_>>().map(Saved::Fields)
}
