use std::num::NonZeroUsize;
use std::sync::Once;

use domain::{ErrorKind, Result};
use tch::{Cuda, Kind};

/// Where the network runs, and in which arithmetic; chosen once, at the start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Device {
    pub(crate) place: tch::Device,
    /// What convolutions calculate in. Sums and statistics are f32 all the same.
    pub(crate) kind: Kind,
    /// The most threads that a CPU gives; None: one for each core.
    threads: Option<NonZeroUsize>,
    /// What calculates predictions there; training is libtorch's.
    pub(crate) library: Library,
}

/// What calculates predictions.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Library {
    Torch,
    OpenVino,
    /// OpenVINO where it is installed, else libtorch.
    Fastest,
}

impl Device {
    /// The device of that name: `cpu`, `openvino` (the same processor by OpenVINO, which predicts faster), `cuda:0` and so on,
    /// or `auto` for the first GPU if there is one, else for OpenVINO if that is there, else for the CPU.
    ///
    /// `Invalid` for any other name, `Unavailable` for a GPU that is not there.
    pub fn choose(name: &str) -> Result<Device> {
        open_cuda();
        let present = if Cuda::is_available() { Cuda::device_count() } else { 0 };
        let place = match name {
            "cpu" | "openvino" => tch::Device::Cpu,
            "auto" if present > 0 => tch::Device::Cuda(0),
            "auto" => tch::Device::Cpu,
            _ => {
                let index = name.strip_prefix("cuda:").and_then(|index| index.parse().ok());
                let index: usize = index.ok_or_else(|| {
                    ErrorKind::Invalid
                        .error(format!("no device `{name}`: use auto, cpu, openvino or cuda:0"))
                })?;
                if index as i64 >= present {
                    let message = format!("device `{name}` is not there: {present} GPU(s) found");
                    return Err(ErrorKind::Unavailable.error(message));
                }
                tch::Device::Cuda(index)
            }
        };
        let library = match name {
            "openvino" => Library::OpenVino,
            "auto" if place == tch::Device::Cpu => Library::Fastest,
            _ => Library::Torch,
        };
        Ok(Device { place, kind: arithmetic(place), threads: None, library })
    }

    /// The same place, calculating in f32 whatever else it could do.
    pub fn exact(self) -> Device {
        Device { kind: Kind::Float, ..self }
    }

    /// The same, a CPU with that many threads however many cores there are.
    pub fn limited(self, threads: NonZeroUsize) -> Device {
        Device { threads: Some(threads), ..self }
    }

    /// How many threads have work here: one for each core unless limited, or one that feeds a GPU.
    pub(crate) fn cores(self) -> usize {
        match (self.place, self.threads) {
            (tch::Device::Cpu, Some(threads)) => threads.get(),
            (tch::Device::Cpu, None) => std::thread::available_parallelism().map_or(1, usize::from),
            _ => 1,
        }
    }

    /// Lets a GPU try which of its convolutions is fastest: worth it where shapes stay the same for long.
    pub(crate) fn tune(self) {
        if self.place != tch::Device::Cpu {
            Cuda::cudnn_set_benchmark(true);
        }
    }

    /// From here on, libtorch uses that many threads for what this thread calculates.
    pub(crate) fn take_threads(self, threads: usize) {
        if self.place == tch::Device::Cpu {
            tch::set_num_threads(threads as i32);
        }
    }
}

impl std::fmt::Display for Device {
    /// For passports: `cpu bfloat16`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.place {
            tch::Device::Cuda(index) => write!(f, "cuda:{index} ")?,
            _ => f.write_str("cpu ")?,
        }
        f.write_str(if self.kind == Kind::BFloat16 { "bfloat16" } else { "float32" })
    }
}

/// From here on, memory that is freed stays with the process: a training step wants as much again at once, and getting
/// zeroed pages from the kernel costs a fifth of its time. For processes that do nothing else.
pub(crate) fn keep_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    for (option, bytes) in [
        // The largest that glibc takes; what is larger comes from the kernel each time.
        (libc::M_MMAP_THRESHOLD, 32 << 20),
        (libc::M_TRIM_THRESHOLD, i32::MAX),
        (libc::M_TOP_PAD, 64 << 20),
    ] {
        #[expect(
            unsafe_code,
            reason = "glibc's own setting of its own allocator; it takes any number"
        )]
        // Refused, it changes nothing but the speed.
        let _ = unsafe { libc::mallopt(option, bytes) };
    }
}

/// bfloat16 where the hardware multiplies it: there it is faster by a third to a half, and the answer
/// is the same within a thousandth. Elsewhere it would be emulated, and slower than f32.
fn arithmetic(place: tch::Device) -> Kind {
    match place {
        tch::Device::Cuda(_) => Kind::BFloat16,
        _ if multiplies_bfloat16() => Kind::BFloat16,
        _ => Kind::Float,
    }
}

#[cfg(target_arch = "x86_64")]
fn multiplies_bfloat16() -> bool {
    std::is_x86_feature_detected!("avx512bf16")
}

#[cfg(not(target_arch = "x86_64"))]
fn multiplies_bfloat16() -> bool {
    false
}

/// Opens libtorch's CUDA half if the loader finds it. The linker drops it, as no symbol of it is named, and
/// without it libtorch sees no GPU; it has to be there before the first tensor.
fn open_cuda() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        #[cfg(unix)]
        {
            use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
            #[expect(
                unsafe_code,
                reason = "loading a library runs its initialisers; this one is libtorch's own"
            )]
            let library =
                unsafe { Library::open(Some("libtorch_cuda.so"), RTLD_NOW | RTLD_GLOBAL) };
            // Not there: a CPU libtorch. There: it stays for as long as the process.
            if let Ok(library) = library {
                std::mem::forget(library);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_is_always_there_and_nonsense_is_refused() {
        assert!(Device::choose("cpu").unwrap().to_string().starts_with("cpu "));
        assert_eq!(Device::choose("gpu").unwrap_err().kind(), ErrorKind::Invalid);
        assert_eq!(Device::choose("cuda:99").unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(Device::choose("cpu").unwrap().exact().to_string(), "cpu float32");
    }

    #[test]
    fn a_limited_cpu_gives_as_many_threads_as_it_is_told() {
        let three = NonZeroUsize::new(3).unwrap();
        assert_eq!(Device::choose("cpu").unwrap().limited(three).cores(), 3);
        assert_eq!(Device::choose("cpu").unwrap().limited(three).exact().cores(), 3);
    }
}
