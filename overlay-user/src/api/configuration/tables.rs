//! The description of the tables' resources, made from the shape of the file.

use overlay_control::config::edit::{By, FILE, Shape};
use utoipa::ToSchema as _;
use utoipa::openapi::path::{
    HttpMethod, OperationBuilder, Parameter, ParameterBuilder, ParameterIn, PathItem,
};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, OpenApi, OpenApiBuilder, PathsBuilder, Ref, RefOr, Required,
    Response, ResponseBuilder,
};

use super::schema::File;
use super::{Changed, PATH};

/// A path for each kind of table, and the schemas that they are of.
pub fn described() -> OpenApi {
    let mut paths = PathsBuilder::new();
    for (path, parameters, words) in resources(&FILE, PATH.to_owned(), Vec::new(), Vec::new()) {
        for method in [HttpMethod::Get, HttpMethod::Put, HttpMethod::Patch, HttpMethod::Delete] {
            let item = operation(method, &parameters, &words);
            paths = paths.path(path.clone(), item);
        }
    }
    let mut schemas = Vec::new();
    File::schemas(&mut schemas);
    Changed::schemas(&mut schemas);
    let components = ComponentsBuilder::new().schemas_from_iter(schemas).build();
    OpenApiBuilder::new().paths(paths.build()).components(Some(components)).build()
}

type Resource = (String, Vec<&'static str>, Vec<&'static str>);

/// Each table within a shape: its path, the parameters in it, and the words that lead to it.
fn resources(
    shape: &'static Shape,
    path: String,
    parameters: Vec<&'static str>,
    words: Vec<&'static str>,
) -> Vec<Resource> {
    let mut all = Vec::new();
    for inner in shape.within {
        let words: Vec<&str> = words.iter().copied().chain([inner.word]).collect();
        let begun = format!("{path}/{}", inner.word);
        let (mut path, mut parameters) = (begun, parameters.clone());
        match inner.by {
            By::Only => all.push((path.clone(), parameters.clone(), words.clone())),
            By::Position => {
                path += "/{position}";
                parameters.push("position");
                all.push((path.clone(), parameters.clone(), words.clone()));
            }
            By::Keys(keys) => {
                for key in keys {
                    // A name alone is that of what it names.
                    let name = if key.name == "name" { inner.word } else { key.name };
                    path += &format!("/{{{name}}}");
                    parameters.push(name);
                    all.push((path.clone(), parameters.clone(), words.clone()));
                    all.extend(resources(inner, path.clone(), parameters.clone(), words.clone()));
                }
                continue;
            }
        }
        all.extend(resources(inner, path, parameters, words));
    }
    all
}

fn operation(method: HttpMethod, parameters: &[&'static str], words: &[&'static str]) -> PathItem {
    let (name, verb) = match method {
        HttpMethod::Get => ("get", "The table"),
        HttpMethod::Put => ("put", "Has the table hold these keys and no others"),
        HttpMethod::Patch => ("patch", "Changes these keys of the table; null takes one away"),
        _ => ("remove", "Removes the table"),
    };
    let id = format!("{name}_{}_{}", words.join("_"), parameters.len());
    let title = words.join(".");
    let mut operation = OperationBuilder::new()
        .tag("configuration")
        .operation_id(Some(id))
        .summary(Some(format!("{verb}: `{title}` of the configuration.")));
    for name in parameters {
        operation = operation.parameter(parameter(name, ParameterIn::Path, Type::String));
    }
    let is_change = method != HttpMethod::Get;
    if is_change {
        for name in ["persist", "dry_run"] {
            operation = operation.parameter(parameter(name, ParameterIn::Query, Type::Boolean));
        }
        operation = operation.parameter(parameter("if-match", ParameterIn::Header, Type::String));
    }
    let schema = schema_of(words);
    let content = |reference: Ref| ContentBuilder::new().schema(Some(reference)).build();
    if matches!(method, HttpMethod::Put | HttpMethod::Patch) {
        // A patch names what it changes, and a path has some of the keys already.
        let body = ContentBuilder::new()
            .schema(Some(RefOr::T(
                ObjectBuilder::new()
                    .description(Some(format!(
                        "Keys of {schema}; those of the path may be left out"
                    )))
                    .build()
                    .into(),
            )))
            .build();
        let body = RequestBodyBuilder::new().content("application/json", body);
        operation = operation.request_body(Some(body.required(Some(Required::True)).build()));
    }
    let (what, reference) = if is_change {
        ("What has changed", Ref::from_schema_name("Changed"))
    } else {
        ("The table", Ref::from_schema_name(schema))
    };
    let done = |what: &str, reference| {
        ResponseBuilder::new()
            .description(what)
            .content("application/json", content(reference))
            .build()
    };
    operation = operation.response("200", done(what, reference));
    if matches!(method, HttpMethod::Put | HttpMethod::Patch) {
        operation = operation.response("201", done("It is new", Ref::from_schema_name("Changed")));
    }
    operation = operation.response("default", problem());
    PathItem::new(method, operation.build())
}

fn problem() -> Response {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    ResponseBuilder::new()
        .description("Whatever goes wrong")
        .content("application/problem+json", content)
        .build()
}

fn parameter(name: &str, place: ParameterIn, kind: Type) -> Parameter {
    let required = if place == ParameterIn::Path { Required::True } else { Required::False };
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(required)
        .schema(Some(ObjectBuilder::new().schema_type(kind).build()))
        .build()
}

/// The name of a table's schema: limits are alike.
fn schema_of(words: &[&str]) -> String {
    match words {
        [.., "limit"] => "Limit".to_owned(),
        words => words.iter().flat_map(|word| word.split('_')).map(capital).collect(),
    }
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters
        .next()
        .map(|first| first.to_ascii_uppercase().to_string() + letters.as_str())
        .unwrap_or_default()
}
