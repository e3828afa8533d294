//! The promises of delivery through its own doors, before real receivers and a real storage: from the event to what a receiver has.

mod archive;
mod association;
mod cstore;
mod destinations;
mod drift;
mod erased;
mod fhir;
mod hospitals;
mod mllp;
mod receiver;
mod repository;
mod stow;
mod tls;
mod webhooks;
mod world;

/// Each of these claims as one test per database.
macro_rules! on_every_database {
    ($($module:ident :: $claim:ident;)*) => {
        mod sqlite { $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $claim() -> anyhow::Result<()> {
                crate::$module::$claim(crate::world::World::sqlite().await?).await
            }
        )* }
        mod mysql { $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $claim() -> anyhow::Result<()> {
                match crate::world::World::mysql().await? {
                    Some(world) => crate::$module::$claim(world).await,
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
    webhooks::a_completed_scan_is_pushed_signed_and_noted_in_the_audit_trail;
    webhooks::the_same_event_again_makes_no_second_delivery;
    webhooks::what_fails_is_tried_again_with_the_same_id_until_it_is_taken;
    webhooks::an_attempt_that_was_killed_is_made_again_with_the_same_id;
    webhooks::what_nobody_takes_for_three_days_has_failed_and_can_be_sent_again;
    webhooks::a_destination_that_hangs_delays_no_other;
    webhooks::a_scan_that_was_given_up_is_told_of_too;
    webhooks::nobody_is_redirected_and_what_is_gone_is_given_up;
    webhooks::another_hospitals_results_go_nowhere_and_its_deliveries_answer_like_none;
    webhooks::entries_that_storage_never_takes_hold_up_no_others;
    erased::of_an_erased_scan_nothing_waits_and_what_was_sent_is_noted;
    erased::what_was_tried_and_not_confirmed_is_noted_when_its_scan_is_erased;
    drift::what_drift_tells_goes_to_the_webhooks_of_its_hospital_once_as_it_came_and_again_by_hand;
    stow::objects_are_stored_and_what_cannot_be_made_is_said;
    stow::what_an_archive_has_already_is_delivered_and_what_it_refuses_is_not;
    destinations::a_secret_is_shown_once_and_kept_when_other_things_change;
    destinations::a_destination_that_is_disabled_is_sent_nothing_until_it_is_enabled;
    destinations::what_waits_for_a_destination_that_is_removed_has_failed;
    destinations::a_hospital_has_a_limited_number_of_destinations;
    destinations::a_credential_is_not_sent_to_another_address;
    destinations::each_kind_has_addresses_titles_and_secrets_of_its_own;
    hospitals::what_waits_of_a_suspended_hospital_goes_on_when_it_is_active_again;
    hospitals::a_hospital_that_is_suspended_at_the_moment_of_sending_is_sent_nothing_of;
    hospitals::what_waits_of_a_closed_hospital_is_given_up_and_its_audit_trail_says_so;
    cstore::objects_are_stored_in_one_association_and_what_is_taken_is_shown;
    cstore::what_an_archive_does_not_take_is_named_and_is_no_delivery;
    cstore::what_is_half_stored_is_sent_again_with_the_same_uids;
    cstore::the_report_is_stored_as_one_document_of_its_patient_however_often_it_is_sent;
    cstore::an_archive_that_is_away_dies_or_rejects_is_tried_again;
    mllp::a_message_is_sent_under_one_control_id_until_it_is_taken;
    mllp::what_is_rejected_has_failed_at_once_and_what_is_an_error_after_a_few_times;
    tls::objects_are_stored_by_tls_where_an_authority_vouches_for_the_archive;
    tls::who_shows_a_strangers_certificate_or_none_is_sent_nothing;
    tls::a_message_is_sent_by_tls_where_an_authority_vouches_for_its_receiver;
    repository::each_entry_arrives_in_its_order_whatever_is_cut_off_and_none_is_left_out;
    repository::one_that_shows_a_strangers_certificate_is_told_nothing_and_delays_no_other;
    fhir::a_transaction_is_sent_with_its_token_until_each_entry_has_gone_well;
    fhir::what_a_server_refuses_is_said_in_its_words;
}
