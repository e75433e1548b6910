//! Programs that tell of the frames that pass. They are the same programs over the same maps,
//! loaded once more with [`constants::WATCHED`] at 1, and take the places of the others for as long
//! as somebody watches: where nobody does, none of this is there.

use anyhow::{Context as _, Result, anyhow};
use aya::maps::{Array, MapData, PerCpuArray, PerCpuValues, PerfEventArray};
use aya::util::nr_cpus;
use aya::{Ebpf, EbpfLoader};
use overlay_common::abi::{Sampler, Watch, constants, maps};

use super::punts::{Readers, Sampled};
use super::tables::PINNED;
use super::wire::Wire;
use super::{Dataplane, object_for};

/// The programs, and what they are to tell.
pub struct Watched {
    ebpf: Ebpf,
    what: Array<MapData, Wire<Watch>>,
    samplers: PerCpuArray<MapData, Wire<Sampler>>,
    samples: PerfEventArray<MapData>,
}

impl Watched {
    /// The object that the programs come from.
    pub fn programs(&mut self) -> &mut Ebpf {
        &mut self.ebpf
    }

    /// Says what is watched, and has every CPU begin anew.
    fn set(&mut self, what: Watch) -> Result<()> {
        let cpus = nr_cpus().map_err(|(path, error)| anyhow!("cannot read {path}: {error}"))?;
        let begun = PerCpuValues::try_from(vec![Wire(Sampler::default()); cpus])?;
        self.what.set(0, Wire(what), 0).context("cannot say what is watched")?;
        self.samplers.set(0, begun, 0).context("cannot begin to watch")
    }
}

impl Dataplane {
    /// Has programs that are attached from now on tell of frames, and calls `take`, from several
    /// threads, for each. It must not block.
    ///
    /// # Errors
    ///
    /// The kernel refuses maps or programs. Nothing has changed then.
    pub fn watch(
        &mut self,
        what: Watch,
        take: impl Fn(Sampled) + Clone + Send + 'static,
    ) -> Result<Readers> {
        let mut watched = self.load_watched()?;
        watched.set(what)?;
        let readers = Readers::start("samples", &mut watched.samples, take)?;
        self.watched = Some(watched);
        Ok(readers)
    }

    /// Watches something else.
    ///
    /// # Errors
    ///
    /// The kernel's; what was watched is watched still.
    pub fn watch_instead(&mut self, what: Watch) -> Result<()> {
        self.watched.as_mut().map_or(Ok(()), |watched| watched.set(what))
    }

    /// Whether programs that are attached now tell of frames.
    pub fn is_watched(&self) -> bool {
        self.watched.is_some()
    }

    /// Has programs that are attached from now on tell of nothing. The others are unloaded when
    /// none is attached any more.
    pub fn watch_no_more(&mut self) -> Option<Watched> {
        self.watched.take()
    }

    fn load_watched(&self) -> Result<Watched> {
        let pins = self.pins.as_ref().context("loaded without pins")?;
        let (features, directory) = (self.features, pins.maps());
        let (seed, abilities) = (self.seed, features.abilities());
        let mut loader = EbpfLoader::new();
        for name in PINNED.iter().filter(|name| !LINKED.contains(name)) {
            loader.map_pin_path(name, directory.join(name));
        }
        let mut ebpf = loader
            .override_global(constants::HASH_SEED, &seed, true)
            .override_global(constants::ABILITIES, &abilities, true)
            .override_global(constants::WATCHED, &1_u32, true)
            .load(&object_for(features)?)
            .context("cannot load the BPF object for those who watch")?;
        let mut take =
            |name: &str| ebpf.take_map(name).with_context(|| format!("there is no map {name}"));
        let what = Array::try_from(take(maps::WATCH)?)?;
        let samplers = PerCpuArray::try_from(take(maps::SAMPLERS)?)?;
        let samples = PerfEventArray::try_from(take(maps::SAMPLES)?)?;
        Ok(Watched { ebpf, what, samplers, samples })
    }
}

/// What leads from one program to the next is each object's own.
const LINKED: [&str; 3] = [maps::TC_SIDES, maps::XDP_SIDES, maps::XDP_SIDES_ONE];
