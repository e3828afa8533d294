use std::thread;

use domain::{ErrorKind, Result};

/// The answers of all of `works` in their order, the first worked out on this thread and the others beside it.
pub fn in_parallel<T: Send>(
    mut works: impl Iterator<Item = impl FnOnce() -> Result<T> + Send>,
) -> Result<Vec<T>> {
    let Some(first) = works.next() else { return Ok(Vec::new()) };
    thread::scope(|scope| {
        let others: Vec<_> = works.map(|work| scope.spawn(work)).collect();
        let panicked = |_| ErrorKind::Internal.error("a thread of the network panicked");
        let others = others.into_iter().map(|other| other.join().map_err(panicked)?);
        std::iter::once(first()).chain(others).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_keep_their_order_and_one_error_is_the_answer() {
        let works = |bad: usize| {
            (0..5).map(move |i| {
                move || match i == bad {
                    true => Err(ErrorKind::Exhausted.error("full")),
                    false => Ok(i),
                }
            })
        };
        assert_eq!(in_parallel(works(9)).unwrap(), [0, 1, 2, 3, 4]);
        for bad in [0, 3] {
            assert_eq!(in_parallel(works(bad)).unwrap_err().kind(), ErrorKind::Exhausted);
        }
        let panics = (0..2).map(|i| move || if i == 1 { panic!("one of two") } else { Ok(i) });
        assert_eq!(in_parallel(panics).unwrap_err().kind(), ErrorKind::Internal);
    }
}
