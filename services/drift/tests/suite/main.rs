//! The promises of drift through its own doors: from events to reports, and to figures of quality.

mod door;
mod erased;
mod evaluations;
mod quality;
mod reports;
mod windows;
mod world;

/// Each of these claims as one test per database.
macro_rules! on_every_database {
    ($($module:ident :: $claim:ident;)*) => {
        mod sqlite { $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $claim() -> anyhow::Result<()> {
                crate::$module::$claim(crate::world::Drift::start().await?).await
            }
        )* }
        mod mysql { $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $claim() -> anyhow::Result<()> {
                match crate::world::Drift::mysql().await? {
                    Some(drift) => crate::$module::$claim(drift).await,
                    None => {
                        println!("skipped: TEST_MYSQL_URL names no server");
                        Ok(())
                    }
                }
            }
        )* }
    };
}

on_every_database! {
    door::refused_files_are_counted_by_why_when_and_where;
    door::whatever_files_say_a_hospitals_day_has_so_many_rows_at_most;
    erased::an_erased_scan_has_no_rows_and_gets_none_any_more;
    evaluations::what_was_measured_offline_is_kept_and_listed_newest_first;
    evaluations::of_many_evaluations_the_newest_are_kept;
    quality::words_become_figures_that_say_how_many_scans_they_are_of;
    quality::the_same_word_twice_counts_once_and_a_later_one_counts_instead_while_rows_stay;
    quality::scans_and_words_are_in_the_same_groups;
    quality::a_word_on_a_scan_that_drift_has_not_seen_counts_all_the_same;
    quality::only_scans_of_the_period_count;
    quality::another_hospitals_words_are_in_no_figure_of_ones_own;
    quality::what_the_version_before_has_observed_is_counted;
    windows::drift_is_told_once_and_again_when_it_is_over;
    windows::each_scan_is_in_one_window_of_its_own_group;
    windows::windows_are_listed_newest_first_page_by_page;
    windows::a_window_names_the_scans_that_carry_its_difference;
    windows::two_windows_are_compared_by_what_was_seen_and_said_in_them;
    windows::rows_are_csv_of_ones_own_scans_of_the_time_that_is_asked_for;
    windows::another_hospitals_windows_answer_like_none;
}
