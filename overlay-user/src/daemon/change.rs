//! Another configuration, from whoever asks for it over the control API.

use overlay_control::config::{Api, Config};

use super::Daemon;
use super::reload::differences;
use crate::api::Problem;
use crate::api::configuration::plan::{Applied, Refused};
use crate::api::configuration::running::{Plan, Planned, Running};
use crate::api::problem::Kind;
use crate::api::server::Prepared;
use crate::cli::{CommandFailure, check};
use crate::config_file::{self, Staged};

impl Daemon {
    /// Carries out a plan as a whole, or leaves everything as it was.
    pub(super) async fn put_into_effect(&mut self, plan: Plan) -> Result<Applied, Refused> {
        if *plan.base != *self.running.text {
            return Err(Refused::Moved);
        }
        let Plan { running, config, file, dry_run, .. } = plan;
        let warnings = self.suits(&config).await?;
        let Planned { config: in_file, staged } =
            file.unwrap_or(Planned { config: None, staged: None });
        if let Some(in_file) = &in_file {
            self.suits(in_file).await?;
        }
        let changes = differences(self.controller.config(), &config);
        if !dry_run {
            if let Some(staged) = &staged {
                staged.check().map_err(|refusal| not_written(refusal, &self.running))?;
            }
            self.take_effect(config, running, staged).await?;
            for change in &changes {
                tracing::info!("change: {change}");
            }
            self.changed(&changes);
        }
        Ok(Applied { changes, warnings })
    }

    async fn take_effect(
        &mut self,
        config: Config,
        running: Running,
        staged: Option<Staged>,
    ) -> Result<(), Problem> {
        let before = staged.as_ref().map(|_| self.controller.config().clone());
        let is_same = self.controller.config().means(&config) && self.running.text == running.text;
        if !is_same {
            self.change_to(config).await.map_err(|error| Problem::from(&error))?;
        }
        if let (Some(staged), Some(before)) = (staged, before)
            && let Err(error) = staged.commit()
        {
            let mut detail = format!("{error:#}; nothing was changed");
            if let Err(other) = self.change_to(before).await {
                detail =
                    format!("{error:#}; the change is in effect, and not in the file: {other:#}");
            }
            return Err(Problem::machine(detail));
        }
        self.running = running;
        Ok(())
    }

    /// What of a configuration works on this host, and not as well as it could.
    async fn suits(&self, config: &Config) -> Result<Vec<String>, Refused> {
        self.keeps_its_name(config)?;
        match check::on_host(config, &self.running.file, &self.netlink, self.known()).await {
            Ok(warnings) => Ok(warnings.iter().map(ToString::to_string).collect()),
            Err(CommandFailure::Host(errors)) => Err(Refused::Wrong(errors)),
            Err(failure) => Err(refusal(failure).into()),
        }
    }

    /// Gets ready to listen over TCP as a configuration says.
    pub(super) async fn prepare_api(&self, api: Option<&Api>) -> anyhow::Result<Option<Prepared>> {
        match &self.server {
            Some(server) => server.prepare(api, &self.running.file).await,
            None => Ok(None),
        }
    }

    /// Listens as was prepared.
    pub(super) fn adopt_api(&mut self, prepared: Option<Prepared>) {
        if let Some(server) = &mut self.server {
            server.adopt(prepared);
        }
    }

    /// Refuses another name: it is in the names of sockets and pins.
    pub(super) fn keeps_its_name(&self, config: &Config) -> Result<(), Problem> {
        let current = &self.controller.config().node.name;
        if self.named || config.node.name == *current {
            return Ok(());
        }
        let detail = format!(
            "{}: node.name is now {:?}, but this instance is {current:?}; nothing was changed: a \
             name is changed by overlay down and overlay run",
            self.running.name(),
            config.node.name,
        );
        Err(Problem::configuration(detail, Vec::new()))
    }
}

/// Why a configuration is refused.
pub fn refusal(failure: CommandFailure) -> Problem {
    match failure {
        CommandFailure::Configuration(errors) | CommandFailure::Host(errors) => {
            let details = errors.iter().map(ToString::to_string).collect();
            Problem::configuration("nothing was changed", details)
        }
        CommandFailure::Unread(message) | CommandFailure::Wrong(message) => {
            Problem::configuration(format!("{message}; nothing was changed"), Vec::new())
        }
        CommandFailure::Refused(error) => Problem::from(&error),
    }
}

fn not_written(refusal: config_file::Refusal, running: &Running) -> Problem {
    match refusal {
        config_file::Refusal::Edited => {
            let detail = format!(
                "{} was edited since it was read; nothing was changed: overlay reload puts the \
                 file into effect (and drops what is not in it), or leave persist out",
                running.name()
            );
            Problem::new(Kind::Conflict, detail)
        }
        config_file::Refusal::Failed(error) => {
            Problem::machine(format!("{error:#}; nothing was changed"))
        }
    }
}
