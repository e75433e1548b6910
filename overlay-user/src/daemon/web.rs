//! The web page: there while the configuration says so.

use super::Daemon;
use crate::api::web::Web;

impl Daemon {
    /// Serves the page where the configuration wants it. A page that cannot be served keeps
    /// nothing else from working: it is a problem, and tried again later.
    pub(super) fn open_web(&mut self) {
        let wanted = self.controller.config().web.clone();
        if self.web.as_ref().map(|web| &web.config) == wanted.as_ref() {
            self.web_problem = None;
            return;
        }
        self.web = None;
        let (Some(wanted), Some(server)) = (wanted, &self.server) else {
            self.web_problem = None;
            return;
        };
        let listen = wanted.listen;
        match Web::start(wanted, server.requests()) {
            Ok(web) => {
                tracing::info!("the web page is at http://{listen}/");
                (self.web, self.web_problem) = (Some(web), None);
            }
            Err(error) => {
                let problem = format!("{error:#}");
                if self.web_problem.as_ref() != Some(&problem) {
                    tracing::warn!("{problem}");
                }
                self.web_problem = Some(problem);
            }
        }
    }
}
