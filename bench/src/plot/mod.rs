//! Plots of what a run has found.

mod axis;
mod draw;
mod figure;
mod latency;
mod rates;
mod svg;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::report::Scale;
use crate::results::Series;

/// Draws every figure of which something was measured, and returns the files.
pub fn draw(found: &[Series], folder: &Path) -> Result<Vec<PathBuf>> {
    std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    let figures = [rates::by_frame(found), rates::by_size(found), latency::by_quantile(found)];
    figures
        .into_iter()
        .filter(|figure| !figure.panels.is_empty())
        .map(|figure| {
            let file = folder.join(figure.name).with_extension("svg");
            let svg = draw::svg(&figure);
            std::fs::write(&file, svg).with_context(|| format!("writing {}", file.display()))?;
            Ok(file)
        })
        .collect()
}
