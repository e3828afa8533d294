use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use futures::FutureExt;
use futures::future::join_all;
use imaging::prepare;

use super::*;
use crate::engine;

/// Reports each batch's size, and waits to be let go on before it answers.
struct Gate {
    batches: Sender<usize>,
    go: Arc<Mutex<Receiver<()>>>,
}

impl Engine for Gate {
    fn model_info(&self) -> ModelInfo {
        engine::open("stub:", "cpu", true).unwrap().model_info()
    }

    fn predict(&mut self, tiles: &[Prepared], _mirrored: bool) -> Result<Vec<TilePrediction>> {
        self.batches.send(tiles.len()).unwrap();
        self.go.lock().unwrap().recv_timeout(Duration::from_secs(60)).unwrap();
        let output = |tile: &Prepared| TilePrediction {
            probabilities: vec![0.25; tile.pixels.len()],
            ..TilePrediction::default()
        };
        Ok(tiles.iter().map(output).collect())
    }
}

/// A model of batches of four, the sizes of the batches that it runs, and what lets it go on.
async fn gated() -> (Model, Receiver<usize>, Sender<()>) {
    let (batches, sizes) = channel();
    let (allow, go) = channel();
    let go = Arc::new(Mutex::new(go));
    let open =
        move || Ok(Box::new(Gate { batches: batches.clone(), go: go.clone() }) as Box<dyn Engine>);
    let (model, _) = Model::start(open, 4).await.unwrap();
    (model, sizes, allow)
}

async fn of(url: &'static str, batch: usize) -> (Model, Ended) {
    Model::start(move || engine::open(url, "cpu", true), batch).await.unwrap()
}

fn tiles(count: usize) -> Vec<Prepared> {
    let slice: Vec<f32> = (0..1024).map(|i| (i % 37) as f32).collect();
    vec![prepare(&slice, 32, 32, 16).unwrap(); count]
}

fn routine() -> Whose {
    Whose { tenant: "a".into(), priority: Some(Priority::Routine) }
}

async fn next(sizes: &Receiver<usize>) -> usize {
    loop {
        match sizes.try_recv() {
            Ok(size) => return size,
            Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    }
}

#[tokio::test]
async fn the_registry_tells_the_data_of_a_model_whose_weights_do_not() {
    let (model, _ended) = of("stub:", 1).await;
    let model = model.of_data("d1");
    assert_eq!(model.model_info().facts.data_version, "d1");
    assert_eq!(model.of_data("d2").model_info().facts.data_version, "d1");
}

#[tokio::test]
async fn an_urgent_slice_is_in_the_next_batch_however_many_others_wait() {
    let (model, sizes, allow) = gated().await;
    let see = |count, priority| {
        let (model, whose) = (model.clone(), Whose { priority: Some(priority), ..routine() });
        tokio::spawn(async move {
            model.predict(tiles(count), false, &whose).await.map(|seen| seen.len())
        })
    };
    let others = see(40, Priority::Routine);
    next(&sizes).await;
    while model.queues.routine.slices.capacity() > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let urgent = see(1, Priority::Stat);
    while model.queues.stat.slices.capacity() == 4 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    allow.send(()).unwrap();
    assert_eq!(next(&sizes).await, 4);
    allow.send(()).unwrap();
    assert_eq!(urgent.await.unwrap().unwrap(), 1);
    assert!(!others.is_finished());
    (0..40).for_each(|_| allow.send(()).unwrap());
    assert_eq!(others.await.unwrap().unwrap(), 40);
}

#[tokio::test]
async fn a_hospitals_slice_is_in_the_next_batch_but_one_however_many_of_anothers_wait() {
    let (model, sizes, allow) = gated().await;
    let see = |count, tenant: &str| {
        let (model, whose) = (model.clone(), Whose { tenant: tenant.into(), ..routine() });
        tokio::spawn(async move { model.predict(tiles(count), false, &whose).await })
    };
    let flood: Vec<_> = (0..10).map(|_| see(40, "a")).collect();
    next(&sizes).await;
    while model.queues.routine.slices.capacity() > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let others = see(1, "b");
    // It stands in the line before any batch goes on.
    tokio::task::yield_now().await;
    // The batch in hand, that in the line, and the one with the slice.
    (0..3).for_each(|_| allow.send(()).unwrap());
    others.await.unwrap().unwrap();
    assert!(flood.iter().all(|scan| !scan.is_finished()));
}

#[tokio::test]
async fn what_is_of_no_scan_waits_until_no_scan_does_and_fills_up_no_batch_of_theirs() {
    let (model, sizes, allow) = gated().await;
    let see = |count, priority| {
        let (model, whose) = (model.clone(), Whose { priority, ..routine() });
        tokio::spawn(async move { model.predict(tiles(count), false, &whose).await })
    };
    let mut seen = vec![see(1, Some(Priority::Routine))];
    assert_eq!(next(&sizes).await, 1);
    seen.push(see(3, None));
    while model.queues.bare.slices.capacity() > 1 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    seen.push(see(2, Some(Priority::Routine)));
    while model.queues.routine.slices.capacity() > 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    (0..3).for_each(|_| allow.send(()).unwrap());
    for seen in join_all(seen).await {
        seen.unwrap().unwrap();
    }
    assert_eq!(sizes.try_iter().collect::<Vec<_>>(), [2, 3]);
}

#[tokio::test]
async fn a_lone_slice_runs_at_once_and_those_that_came_meanwhile_share_a_batch() {
    let (model, sizes, allow) = gated().await;
    let seeing = |model: Model| {
        tokio::spawn(async move {
            model.predict(tiles(1), false, &routine()).await.map(|seen| seen.len())
        })
    };
    let mut callers = vec![seeing(model.clone())];
    assert_eq!(next(&sizes).await, 1);
    callers.extend((0..3).map(|_| seeing(model.clone())));
    // The line is full of them once three of its four places are taken.
    while model.queues.routine.slices.capacity() > 1 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    allow.send(()).unwrap();
    assert_eq!(next(&sizes).await, 3);
    allow.send(()).unwrap();
    for caller in join_all(callers).await {
        assert_eq!(caller.unwrap().unwrap(), 1);
    }
}

#[tokio::test]
async fn a_tall_volume_comes_back_in_order_in_batches_no_larger_than_asked() {
    let (model, sizes, allow) = gated().await;
    (0..20).for_each(|_| allow.send(()).unwrap());
    assert_eq!(model.predict(tiles(11), false, &routine()).await.unwrap().len(), 11);
    let ran: Vec<usize> = sizes.try_iter().collect();
    assert!(ran.iter().all(|size| *size <= 4) && ran.iter().sum::<usize>() == 11, "{ran:?}");
}

#[tokio::test]
async fn a_caller_who_has_gone_costs_nothing() {
    let (model, sizes, allow) = gated().await;
    let first = tokio::spawn({
        let model = model.clone();
        async move { model.predict(tiles(1), false, &routine()).await }
    });
    assert_eq!(next(&sizes).await, 1);
    let whose = routine();
    let mut gone = Box::pin(model.predict(tiles(2), false, &whose));
    assert!((&mut gone).now_or_never().is_none());
    drop(gone);
    (0..3).for_each(|_| allow.send(()).unwrap());
    assert!(first.await.unwrap().is_ok());
    assert_eq!(model.predict(tiles(1), false, &routine()).await.unwrap().len(), 1);
    assert_eq!(sizes.try_iter().collect::<Vec<_>>(), [1]);
}

#[tokio::test]
async fn an_output_that_is_no_probability_is_an_error_of_ours_that_will_not_pass() {
    for url in ["stub:?fault=nan", "stub:?fault=short"] {
        let (model, _ended) = of(url, 2).await;
        assert_eq!(
            model.predict(tiles(3), false, &routine()).await.unwrap_err().kind(),
            ErrorKind::Internal,
            "{url}"
        );
        model.check().unwrap();
    }
}

#[tokio::test]
async fn a_model_that_breaks_fails_what_it_has_in_hand_and_starts_anew() {
    for url in ["stub:?fault=panic", "stub:?fault=error"] {
        let (model, _ended) = of(url, 2).await;
        for _ in 0..2 {
            assert_eq!(
                model.predict(tiles(1), false, &routine()).await.unwrap_err().kind(),
                ErrorKind::Unavailable,
                "{url}"
            );
        }
        model.check().unwrap();
    }
}

#[tokio::test]
async fn a_model_that_cannot_be_opened_again_ends_with_the_reason() {
    let opened = Mutex::new(0);
    let open = move || {
        *opened.lock().unwrap() += 1;
        let first = *opened.lock().unwrap() == 1;
        engine::open(if first { "stub:?fault=panic" } else { "none:" }, "cpu", true)
    };
    let (model, ended) = Model::start(open, 2).await.unwrap();
    assert!(model.predict(tiles(1), false, &routine()).await.is_err());
    assert!(ended.await.unwrap().unwrap_err().to_string().contains("none:"));
    assert_eq!(
        model.predict(tiles(1), false, &routine()).await.unwrap_err().kind(),
        ErrorKind::Unavailable
    );
    assert!(model.check().is_err());
}

#[tokio::test]
async fn a_model_that_was_swapped_when_it_is_opened_again_answers_nothing_more() {
    let opened = Mutex::new(0);
    let open = move || {
        *opened.lock().unwrap() += 1;
        let first = *opened.lock().unwrap() == 1;
        engine::open(if first { "stub:?fault=panic" } else { "echo:" }, "cpu", true)
    };
    let (model, ended) = Model::start(open, 2).await.unwrap();
    assert!(model.predict(tiles(1), false, &routine()).await.is_err());
    let why = ended.await.unwrap().unwrap_err().to_string();
    assert!(why.contains("another one than before"), "{why}");
    assert_eq!(
        model.predict(tiles(1), false, &routine()).await.unwrap_err().kind(),
        ErrorKind::Unavailable
    );
}

#[tokio::test]
async fn out_of_memory_means_smaller_batches_and_no_lost_slice() {
    let (model, _ended) = of("stub:?fault=memory&ms=2", 8).await;
    assert_eq!(model.predict(tiles(17), false, &routine()).await.unwrap().len(), 17);
}

#[tokio::test]
async fn a_model_that_does_not_open_says_why() {
    let error = Model::start(|| engine::open("none:", "cpu", true), 2).await.err().unwrap();
    assert!(error.to_string().contains("none:"), "{error}");
}

/// The sides of a batch's tiles, and whether it was predicted with test-time augmentation.
type BatchInput = (Vec<usize>, bool);

/// Records the input of each batch.
struct Witness(Arc<Mutex<Vec<BatchInput>>>, Receiver<()>);

impl Engine for Witness {
    fn model_info(&self) -> ModelInfo {
        engine::open("stub:", "cpu", true).unwrap().model_info()
    }

    fn predict(&mut self, tiles: &[Prepared], mirrored: bool) -> Result<Vec<TilePrediction>> {
        let sides = tiles.iter().map(|tile| tile.placement.side).collect();
        self.0.lock().unwrap().push((sides, mirrored));
        self.1.recv_timeout(Duration::from_secs(60)).unwrap();
        let output = |tile: &Prepared| TilePrediction {
            probabilities: vec![tile.placement.side as f32 / 100.0; tile.pixels.len()],
            kinds: vec![f32::from(u8::from(mirrored)); 2],
            ..TilePrediction::default()
        };
        Ok(tiles.iter().map(output).collect())
    }
}

#[tokio::test]
async fn tiles_of_two_inputs_share_no_batch_and_find_their_way_back() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (allow, go) = channel();
    let (log, go) = (seen.clone(), Mutex::new(Some(go)));
    let open = move || {
        let go = go.lock().unwrap().take().expect("it is opened once");
        Ok(Box::new(Witness(log.clone(), go)) as Box<dyn Engine>)
    };
    let (model, _ended) = Model::start(open, 8).await.unwrap();
    let tile = |side: usize| {
        let slice: Vec<f32> = (0..1024).map(|i| (i % 37) as f32).collect();
        prepare(&slice, 32, 32, side).unwrap()
    };
    let ask = |side: usize, mirrored: bool| {
        let (model, tile) = (model.clone(), tile(side));
        tokio::spawn(async move { model.predict(vec![tile], mirrored, &routine()).await })
    };
    let first = ask(16, false);
    while seen.lock().unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let ways = [(16, false), (32, false), (16, true), (32, false), (16, false)];
    let mut asked = Vec::new();
    for (count, (side, mirrored)) in (1..).zip(ways) {
        asked.push(ask(side, mirrored));
        while 8 - model.queues.routine.slices.capacity() < count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    (0..9).for_each(|_| allow.send(()).unwrap());
    first.await.unwrap().unwrap();
    for ((side, mirrored), answer) in ways.into_iter().zip(asked) {
        let output = answer.await.unwrap().unwrap().remove(0).output;
        assert_eq!(output.probabilities, vec![side as f32 / 100.0; side * side]);
        assert_eq!(output.kinds, vec![f32::from(u8::from(mirrored)); 2]);
    }
    let batches = [(vec![16], false), (vec![16; 2], false), (vec![32; 2], false), (vec![16], true)];
    assert_eq!(*seen.lock().unwrap(), batches);
}
