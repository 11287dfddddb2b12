//! The admin port: `/metrics` for Prometheus, `/healthz` and `/readyz` for whoever watches the process. An actor under
//! the broker's supervisor; it owns the HTTP server's task and fails when that ends. Changes nothing in the broker.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use callboard_supervision::{Addr, ChildSpec, Envelope, RestartPolicy, spawn_linked};
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::task::JoinSet;

use crate::metrics::Page;
use crate::metrics::kinds::ADMIN as KIND;

mod places;

use places::Bounded;
pub(crate) use places::Bounds;

/// Who looks at the broker never ends it: a server that keeps failing is started again, at the end every five seconds.
const RESTARTS: RestartPolicy = RestartPolicy {
    max_restarts: u32::MAX,
    window: Duration::from_secs(60),
    backoff_initial: Duration::from_millis(50),
    backoff_max: Duration::from_secs(5),
};

/// Whether the broker can do its work, asked anew for each `/readyz`. The error says what is missing.
pub(crate) type Readiness = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// What the admin port shows.
#[derive(Clone)]
pub(crate) struct AdminPages {
    pub(crate) metrics: Arc<Page>,
    pub(crate) ready: Readiness,
    pub(crate) bounds: Bounds,
}

pub(crate) enum AdminMsg {
    /// The server's task has ended, which it never does by itself.
    ServerEnded(String),
}

pub(crate) struct AdminServer;

pub(crate) struct AdminArgs {
    listener: TcpListener,
    pages: AdminPages,
}

/// The child of the broker's supervisor. `listener` is bound already: an address in use is told by `Broker::start`.
pub(crate) fn child(listener: TcpListener, pages: AdminPages) -> ChildSpec {
    let listener = Arc::new(listener);
    ChildSpec::new(KIND, KIND, move |supervisor, _incarnation| {
        let (listener, pages) = (listener.try_clone(), pages.clone());
        async move {
            let failed = |error: std::io::Error| callboard_supervision::SpawnError {
                kind: KIND,
                reason: error.to_string(),
            };
            let args = AdminArgs {
                listener: listener.map_err(failed)?,
                pages,
            };
            let (address, _join) = spawn_linked(KIND, AdminServer, args, supervisor).await?;
            Ok(address.actor().get_cell())
        }
    })
    .policy(RESTARTS)
}

#[ractor::async_trait]
impl Actor for AdminServer {
    type Msg = Envelope<AdminMsg>;
    /// The server; dropping the set ends it.
    type State = JoinSet<()>;
    type Arguments = AdminArgs;

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        args: AdminArgs,
    ) -> Result<Self::State, ActorProcessingErr> {
        let listener = tokio::net::TcpListener::from_std(args.listener)?;
        let listener = Bounded::new(listener, args.pages.bounds);
        let myself = Addr::new(myself, KIND);
        let mut tasks = JoinSet::new();
        let router = router(args.pages);
        tasks.spawn(async move {
            let ended = axum::serve(listener, router).await;
            let reason = ended.map_or_else(
                |error| error.to_string(),
                |()| "the server stopped".to_owned(),
            );
            // If the actor is gone, so is the wish for a server.
            let _ = myself.cast(AdminMsg::ServerEnded(reason));
        });
        Ok(tasks)
    }

    async fn handle(
        &self,
        _: ActorRef<Self::Msg>,
        message: Self::Msg,
        _: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        match message.open() {
            AdminMsg::ServerEnded(reason) => Err(reason.into()),
        }
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<Self::Msg>,
        _children_it_has_none_of: SupervisionEvent,
        _: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        Ok(())
    }
}

fn router(pages: AdminPages) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .with_state(pages)
}

async fn metrics(State(pages): State<AdminPages>) -> Response {
    (
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )],
        pages.metrics.scrape().await,
    )
        .into_response()
}

async fn readyz(State(pages): State<AdminPages>) -> Response {
    match (pages.ready)() {
        Ok(()) => "ready\n".into_response(),
        Err(missing) => (StatusCode::SERVICE_UNAVAILABLE, format!("{missing}\n")).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use callboard_supervision::testing::Stage;
    use callboard_supervision::{Supervisor, SupervisorMsg};
    use ractor::ActorStatus;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_admin_port_that_keeps_failing_ends_nobody_else() {
        let stage = Stage::new().await;
        let (supervisor, _ended) = Supervisor::spawn_linked("supervisor", stage.cell())
            .await
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let pages = AdminPages {
            metrics: Arc::new(Page::new(None, Arc::new(Default::default), 0)),
            ready: Arc::new(|| Ok(())),
            bounds: Bounds {
                most: 1,
                idle: RESTARTS.backoff_max,
            },
        };
        let child = child(listener, pages);
        let wait = Duration::from_secs(1);
        let started = supervisor.call(|reply| SupervisorMsg::Start(child, reply), wait);
        let mut admin = started.await.unwrap().unwrap();
        for _ in 0..20 {
            admin.kill();
            tokio::time::sleep(RESTARTS.backoff_max + wait).await;
            let children = supervisor.actor().get_children();
            let [next] = &children[..] else {
                panic!("not started again: {children:?}");
            };
            assert_ne!(next.get_id(), admin.get_id());
            admin = next.clone();
        }
        assert_eq!(supervisor.actor().get_status(), ActorStatus::Running);
        stage.finish().await;
    }
}
