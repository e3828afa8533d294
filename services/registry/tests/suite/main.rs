//! The promises of the registry, kept on every database: SQLite always, MySQL or MariaDB where `TEST_MYSQL_URL` names a
//! server.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod erased;
mod keeping;
mod kinds;
mod serving;
mod world;

/// Each of these claims as one test per database.
macro_rules! on_every_database {
    ($($module:ident :: $claim:ident;)*) => {
        mod sqlite { $(
            #[tokio::test]
            async fn $claim() {
                crate::$module::$claim(crate::world::World::sqlite().await).await;
            }
        )* }
        mod mysql { $(
            #[tokio::test]
            async fn $claim() {
                match crate::world::World::mysql().await {
                    Some(world) => crate::$module::$claim(world).await,
                    None => eprintln!("skipped: TEST_MYSQL_URL is not set"),
                }
            }
        )* }
    };
}

on_every_database! {
    erased::what_a_shadow_said_of_an_erased_scan_goes_and_does_not_come_back;
    keeping::a_version_comes_back_bit_by_bit;
    keeping::the_same_version_again_changes_nothing_and_another_under_its_name_is_refused;
    keeping::files_that_do_not_fit_each_other_are_refused_and_nothing_is_kept;
    keeping::a_row_that_somebody_has_swapped_is_refused;
    keeping::an_object_that_somebody_has_swapped_is_refused;
    keeping::what_is_unsigned_lost_or_swapped_is_whole_again_once_its_very_files_have_come_again;
    keeping::of_two_that_register_one_version_at_once_each_is_told_whether_it_is_theirs;
    keeping::a_version_waits_for_its_evaluation_until_it_has_one;
    keeping::only_scientists_register_only_admins_promote_and_only_workers_evaluate;
    keeping::only_workers_have_results_signed_and_anybody_gets_the_keys;
    kinds::a_kind_of_image_is_served_apart_and_the_rest_as_before;
    kinds::the_gate_compares_with_what_serves_the_kind_now;
    kinds::a_version_serves_the_kinds_that_it_is_good_at_and_no_others;
    kinds::what_tells_no_kinds_is_evaluated_anew;
    kinds::a_kind_rolls_back_on_its_own_and_at_last_to_its_modality;
    kinds::a_version_is_withdrawn_from_a_kind_and_goes_on_where_else_it_serves;
    kinds::a_shadow_looks_on_at_a_kind_beside_one_that_looks_on_at_all;
    kinds::a_kind_has_a_route_only_where_its_modality_has_one_and_scans_have_the_kind;
    serving::a_version_serves_once_the_gate_lets_it_through;
    serving::what_is_worse_than_what_serves_is_refused_with_both_figures;
    serving::what_was_evaluated_on_another_gate_set_is_evaluated_anew;
    serving::who_forces_the_gate_says_why_and_it_stands_with_the_version;
    serving::a_version_that_was_forced_says_why_also_when_it_serves_again;
    serving::the_version_before_serves_again;
    serving::a_shadow_never_serves_and_what_serves_is_no_shadow;
    serving::what_is_retired_is_promoted_no_more_and_can_still_be_read;
    serving::of_two_promotions_at_once_one_serves_and_the_routes_are_whole;
    serving::of_two_first_promotions_at_once_one_serves;
    serving::of_two_that_begin_with_a_model_at_once_one_lets_it_serve;
    serving::what_is_retired_while_it_is_promoted_does_not_serve;
    serving::what_is_not_as_it_was_signed_does_not_serve_and_what_serves_goes_on;
    serving::whoever_may_not_changes_nothing;
    serving::modalities_are_served_apart;
    serving::a_shadows_scans_are_shown_to_their_own_hospital_only;
}
