use std::net::SocketAddr;

use axum::extract::{ConnectInfo, FromRequest, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use axum::{Extension, Form, Json};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proto::auth::{ClientCredentialsRequest, KeysRequest, RefreshRequest, SignInRequest, Tokens};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use service::claims::ORIGIN;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::Gateway;
use crate::caller::credentials;
use crate::extract::JsonBody;
use crate::problem::{INVALID, PASSWORD_CHANGE, Problem, SECOND_FACTOR, TokenError, UNPROCESSABLE};
use crate::security_keys;

/// What to sign in with (RFC 6749). Clients may send their id and secret by HTTP Basic instead.
#[derive(Deserialize, ToSchema)]
pub struct GrantRequest {
    /// `password`, `client_credentials` or `refresh_token`.
    #[schema(value_type = GrantType)]
    grant_type: String,
    /// For `password`.
    username: Option<String>,
    /// For `password`.
    password: Option<String>,
    /// For `password`: the password from now on. Needed where the one that was printed at the first start is still that of the
    /// administrator; all other sessions of the account end.
    new_password: Option<String>,
    /// For `password`: what an app shows whose account has a second factor, or a code for recovery.
    one_time_code: Option<String>,
    /// For `password`: what a security key has answered to the `security_key` of the problem before, as JSON
    /// (`AuthenticationResponseJSON` of WebAuthn Level 3).
    security_key: Option<String>,
    /// For `client_credentials`.
    client_id: Option<String>,
    /// For `client_credentials`.
    client_secret: Option<String>,
    /// For `refresh_token`.
    refresh_token: Option<String>,
}

/// The ways to sign in.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "describes the API")]
enum GrantType {
    Password,
    ClientCredentials,
    RefreshToken,
}

/// A token to call with, and one to get the next with.
#[derive(Serialize, ToSchema)]
pub struct Token {
    access_token: String,
    /// Always `Bearer`.
    token_type: &'static str,
    /// Seconds until the access token ends.
    expires_in: u32,
    /// Works once, and gives the next pair; API clients have none and sign in again.
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    /// Codes for whoever has lost what makes the others; each works once, and they are shown this once. Of a sign-in that has shown that
    /// a second factor works which the hospital asks for; else there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    recovery_codes: Option<Vec<String>>,
}

impl From<Tokens> for Token {
    fn from(tokens: Tokens) -> Token {
        Token {
            access_token: tokens.access_token,
            token_type: "Bearer",
            expires_in: tokens.expires_in_s,
            refresh_token: (!tokens.refresh_token.is_empty()).then_some(tokens.refresh_token),
            recovery_codes: (!tokens.recovery_codes.is_empty()).then_some(tokens.recovery_codes),
        }
    }
}

/// Signs in, or renews a sign-in
#[utoipa::path(
    operation_id = "sign_in", post, path = "/v1/token", tag = "token",
    request_body(content = GrantRequest, content_type = "application/x-www-form-urlencoded",
        description = "A form (RFC 6749); JSON with these fields, and no others, is understood too"),
    responses(
        (status = 200, description = "Signed in", body = Token),
        (status = 403, description = "The password is right, and must be changed first, or a second factor is asked for", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "Who this is cannot be told: wrong password, secret or refresh token", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn grant(
    State(mut gateway): State<Gateway>,
    caller: Option<Extension<ConnectInfo<SocketAddr>>>,
    headers: HeaderMap,
    Fields(request): Fields<GrantRequest>,
) -> Result<Json<Token>, Problem> {
    let auth = &mut gateway.auth;
    let tokens = match request.grant_type.as_str() {
        "password" => {
            let message = SignInRequest {
                user_name: needed(request.username, "username")?,
                password: needed(request.password, "password")?,
                new_password: request.new_password.unwrap_or_default(),
                code: request.one_time_code.unwrap_or_default(),
                security_key: request.security_key.unwrap_or_default(),
            };
            auth.sign_in(from(caller, message)).await
        }
        "client_credentials" => {
            let (client_id, client_secret) = match basic(&headers) {
                Some((id, secret)) => (Some(id), Some(secret)),
                None => (request.client_id, request.client_secret),
            };
            let message = ClientCredentialsRequest {
                client_id: needed(client_id, "client_id")?,
                client_secret: needed(client_secret, "client_secret")?,
                ..Default::default()
            };
            auth.client_credentials(from(caller, message)).await
        }
        "refresh_token" => {
            let message =
                RefreshRequest { refresh_token: needed(request.refresh_token, "refresh_token")? };
            auth.refresh(from(caller, message)).await
        }
        _ => {
            let known = "grant_type is one of password, client_credentials, refresh_token";
            return Err(INVALID.problem(known).named(TokenError::UnsupportedGrantType));
        }
    };
    let refused = if request.grant_type == "client_credentials" {
        TokenError::InvalidClient
    } else {
        TokenError::InvalidGrant
    };
    let tokens = tokens.map_err(|status| Problem::from(status).refusing_to_sign_in(refused))?;
    let tokens = tokens.into_inner();
    if tokens.must_change_password {
        let words = "this password was shown to others: say another one as `new_password`";
        return Err(PASSWORD_CHANGE.problem(words).named(TokenError::InvalidGrant));
    }
    if tokens.second_factor_needed {
        let options = &tokens.security_key_options;
        if options.is_empty() {
            let words = "say a code of your second factor as `one_time_code`";
            return Err(SECOND_FACTOR.problem(words).named(TokenError::InvalidGrant));
        }
        let words = "say what your security key answers to `security_key` as a field of that name, or a code as `one_time_code`";
        let problem = SECOND_FACTOR.problem(words).named(TokenError::InvalidGrant);
        return Err(problem.with_security_key(security_keys::options(options)?));
    }
    if !tokens.second_factor_to_be.is_empty() {
        let words = "your hospital asks for a second factor: show `second_factor` to an app, and say its code as `one_time_code`";
        let problem = SECOND_FACTOR.problem(words).named(TokenError::InvalidGrant);
        return Err(problem.with_second_factor(tokens.second_factor_to_be));
    }
    Ok(Json(tokens.into()))
}

/// The message, with the network address that it came from: guesses from one place must not keep the
/// account's owner out at another, and the audit trail says it of whoever has no token yet, too.
///
/// It is the connection's, or what a trusted proxy says; never what anybody can write into a header.
fn from<T>(caller: Option<Extension<ConnectInfo<SocketAddr>>>, message: T) -> tonic::Request<T> {
    located(caller, tonic::Request::new(message))
}

/// The same of a request that is there already.
pub fn located<T>(
    caller: Option<Extension<ConnectInfo<SocketAddr>>>,
    mut request: tonic::Request<T>,
) -> tonic::Request<T> {
    let address = caller.map(|Extension(ConnectInfo(address))| address.ip().to_string());
    if let Some(address) = address.and_then(|address| address.parse().ok()) {
        request.metadata_mut().insert(ORIGIN, address);
    }
    request
}

/// What to sign out (RFC 7009).
#[derive(Deserialize, ToSchema)]
pub struct Revocation {
    /// The refresh token.
    token: String,
}

/// Signs out: the refresh token, and all that came from the same sign-in, end
#[utoipa::path(
    operation_id = "sign_out", post, path = "/v1/token/revoke", tag = "token",
    request_body(content = Revocation, content_type = "application/x-www-form-urlencoded",
        description = "A form (RFC 7009); JSON with this field, and no other, is understood too"),
    responses((status = 200, description = "The token is not valid any more, or never was")),
)]
pub async fn revoke(
    State(mut gateway): State<Gateway>,
    caller: Option<Extension<ConnectInfo<SocketAddr>>>,
    Fields(Revocation { token }): Fields<Revocation>,
) -> Result<StatusCode, Problem> {
    gateway.auth.sign_out(from(caller, RefreshRequest { refresh_token: token })).await?;
    Ok(StatusCode::OK)
}

/// A set of public keys.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the API")]
struct Keys {
    keys: Vec<Key>,
}

/// The public half of a key, as a JWK (RFC 8037).
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the API")]
struct Key {
    /// `OKP`
    kty: String,
    /// `Ed25519`
    crv: String,
    /// `sig`
    r#use: String,
    /// `EdDSA`
    alg: String,
    /// What signatures name it by.
    kid: String,
    /// The key, in base64url.
    x: String,
}

/// Gives the public keys that access tokens are signed with (RFC 7517)
#[utoipa::path(
    operation_id = "get_keys", get, path = "/.well-known/jwks.json", tag = "token",
    responses((status = 200, description = "The key set", body = Keys)),
)]
pub async fn keys(State(mut gateway): State<Gateway>) -> Result<impl IntoResponse, Problem> {
    let keys = gateway.auth.keys(KeysRequest {}).await?.into_inner();
    let headers =
        [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "public, max-age=60")];
    Ok((headers, keys.jwks_json))
}

/// Gives the public keys that results' passports and certificates are signed with, or were (RFC 7517)
///
/// Others than those of tokens, which must not be mistaken for them: a key of this set makes no token valid.
#[utoipa::path(
    operation_id = "get_result_keys", get, path = "/.well-known/result-keys.json", tag = "results",
    responses((status = 200, description = "The key set, with the present key first", body = Keys)),
)]
pub async fn result_keys(State(mut gateway): State<Gateway>) -> Result<impl IntoResponse, Problem> {
    let keys = gateway.models.keys(proto::registry::KeysRequest {}).await?.into_inner();
    let headers =
        [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "public, max-age=60")];
    Ok((headers, keys.jwks_json))
}

/// The fields of a body that is a form, as the standards have it, or JSON, which has no others than those.
pub struct Fields<T>(pub T);

impl<T: DeserializeOwned + PartialSchema, S: Send + Sync> FromRequest<S> for Fields<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Fields<T>, Problem> {
        let media = request.headers().get(header::CONTENT_TYPE);
        let is_json = media.is_some_and(|media| media.as_bytes().starts_with(b"application/json"));
        let fields = if is_json {
            JsonBody::from_request(request, state).await.and_then(|JsonBody(json)| only_known(json))
        } else {
            // Forms are the standards' own: what they do not name is passed over (RFC 6749, 3.2).
            Form::from_request(request, state)
                .await
                .map(|Form(fields)| fields)
                .map_err(Problem::from)
        };
        fields.map(Fields).map_err(|problem| problem.named(TokenError::InvalidRequest))
    }
}

/// The fields of that JSON, unless there are others than its description names.
fn only_known<T: DeserializeOwned + PartialSchema>(json: Map<String, Value>) -> Result<T, Problem> {
    if let RefOr::T(Schema::Object(described)) = T::schema()
        && let Some(name) = json.keys().find(|&name| !described.properties.contains_key(name))
    {
        let known = described.properties.keys().map(|known| format!("`{known}`"));
        let known = known.collect::<Vec<_>>().join(", ");
        return Err(INVALID.problem(format!("unknown field `{name}`, expected one of {known}")));
    }
    serde_json::from_value(json.into()).map_err(|error| UNPROCESSABLE.problem(error.to_string()))
}

fn needed(field: Option<String>, name: &str) -> Result<String, Problem> {
    field.ok_or_else(|| {
        INVALID.problem(format!("the field {name} is missing")).named(TokenError::InvalidRequest)
    })
}

/// The id and secret that a client sends by HTTP Basic.
fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let pair = STANDARD.decode(credentials(headers, "basic")?).ok()?;
    let (id, secret) = std::str::from_utf8(&pair).ok()?.split_once(':')?;
    Some((id.to_owned(), secret.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_sent_by_basic_may_hold_a_colon() {
        let sent = format!("Basic {}", STANDARD.encode("pacs:s:cret"));
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, sent.parse().unwrap())]);
        assert_eq!(basic(&headers), Some(("pacs".to_owned(), "s:cret".to_owned())));
    }
}
