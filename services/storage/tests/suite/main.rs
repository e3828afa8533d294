//! The promises of storage, kept on every database: SQLite always, MySQL or MariaDB where
//! `TEST_MYSQL_URL` names a server.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod accepting;
mod door;
mod encrypted;
mod erasing;
mod faults;
mod feedback;
mod handover;
mod incidents;
mod learning;
mod leasing;
mod limits;
mod log;
mod masks;
mod priors;
mod reader;
mod series;
mod stops;
mod studies;
mod tenants;
mod trail;
mod whose;
mod worklist;
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
    encrypted::what_is_kept_shows_nothing_and_is_read_as_it_came;
    encrypted::a_patient_has_one_key_which_goes_with_the_last_of_their_scans;
    encrypted::a_copy_of_an_erased_patients_objects_opens_no_more;
    encrypted::what_came_before_there_were_keys_stays_readable;
    encrypted::a_ring_that_opens_nothing_here_is_refused_at_the_start;
    encrypted::a_newer_key_of_the_ring_takes_over_and_the_older_one_is_needed_no_more;
    encrypted::while_kms_is_away_no_attempt_is_spent_and_nobody_else_waits;
    encrypted::where_the_keys_rows_are_gone_nothing_is_taken_and_no_start_makes_others;
    encrypted::one_hospitals_damaged_key_keeps_no_other_from_the_rings_newer_one;
    erasing::of_an_erased_patient_nothing_is_left_and_the_receipt_says_what_there_was;
    erasing::only_that_patients_scans_go_and_only_an_admin_says_so;
    erasing::nothing_is_said_of_an_erased_scan_by_whoever_had_a_link_in_hand;
    erasing::what_was_erased_comes_back_only_once_somebody_lets_it;
    erasing::a_scan_that_was_deleted_before_is_found_by_the_erasure_of_its_patient;
    erasing::a_scan_that_is_deleted_while_its_patient_is_erased_is_erased_all_the_same;
    erasing::a_hold_outlasts_every_way_to_delete;
    erasing::a_hold_that_is_placed_again_is_of_whoever_did_so_last;
    erasing::a_hold_in_the_middle_of_an_erasure_keeps_the_rest_and_the_receipt_says_so;
    erasing::a_held_patient_whose_scans_were_deleted_is_not_erased;
    erasing::what_is_too_old_goes_by_the_hospitals_own_rules;
    erasing::what_is_said_of_a_held_patient_outlasts_every_rule;
    erasing::a_database_from_before_deletes_again_what_was_deleted;
    door::a_refused_file_is_told_of_and_kept_nowhere;
    door::while_the_queue_is_far_behind_refusals_are_not_told;
    accepting::an_upload_becomes_a_result;
    accepting::an_urgent_scan_waits_in_a_queue_of_its_own;
    accepting::the_first_uploads_of_a_hospital_may_come_at_once;
    accepting::a_repeat_with_the_same_key_is_the_same_scan;
    accepting::the_same_key_with_other_bytes_is_refused;
    accepting::the_same_key_at_once_is_one_scan;
    accepting::without_a_key_every_upload_is_a_new_scan;
    accepting::bytes_that_differ_from_their_digest_are_refused;
    accepting::pages_are_newest_first_and_lose_nothing;
    accepting::a_watcher_sees_each_change_until_the_end;
    accepting::a_batch_names_scans_and_refusals;
    accepting::a_refusal_is_a_row_as_every_version_has_written_and_reads_it;
    accepting::every_change_leaves_one_link_of_an_unbroken_chain;
    leasing::a_job_has_one_holder_at_a_time;
    leasing::a_stale_attempt_is_refused;
    leasing::a_heartbeat_keeps_the_lease;
    leasing::the_same_completion_twice_changes_nothing;
    leasing::a_result_about_another_patient_is_refused;
    leasing::an_emptied_queue_loses_nothing;
    leasing::a_worker_that_falls_silent_loses_its_job;
    leasing::a_job_that_was_tried_before_is_done_alone;
    leasing::nobodys_scan_waits_behind_another_hospitals_queue;
    leasing::hospitals_alternate_also_where_one_job_is_in_hand_at_a_time;
    leasing::who_calls_everything_urgent_stops_nobody;
    leasing::each_message_is_one_job_whichever_it_names;
    leasing::after_three_attempts_the_scan_has_failed;
    leasing::a_failure_that_may_pass_is_tried_again_later;
    leasing::a_failure_for_good_says_why;
    leasing::completion_is_news_of_the_right_shape;
    limits::instances_that_accept_at_once_never_accept_more_than_a_limit;
    limits::what_is_refused_or_repeated_does_not_count_and_the_next_day_there_is_room;
    limits::an_api_client_has_limits_of_its_own_and_at_most_its_hospitals;
    limits::limits_are_set_by_those_who_decide_and_shown_to_nobody_else;
    limits::what_a_hospital_stores_has_a_limit_and_what_is_deleted_leaves_room;
    limits::a_hospital_has_its_share_of_a_disk_once_there_is_another;
    limits::what_was_stored_or_deleted_uncounted_is_counted_anew;
    tenants::another_hospitals_scan_answers_like_one_that_never_was;
    tenants::a_list_shows_only_ones_own;
    tenants::a_scan_that_no_service_vouches_for_is_kept_from_nobody;
    tenants::an_upload_that_takes_longer_than_its_token_lives_is_kept_and_nothing_else_is_let_in;
    tenants::the_same_key_in_two_hospitals_is_two_scans;
    tenants::only_workers_touch_jobs_and_only_people_scans;
    handover::delivery_alone_is_handed_any_hospitals_scan_and_each_joining_is_noted;
    handover::a_patient_that_was_bound_to_other_voxels_is_handed_to_nobody;
    handover::what_went_where_is_in_the_hospitals_audit_trail;
    trail::an_entry_says_who_from_where_and_why;
    trail::delivery_alone_is_handed_a_chain_as_it_is_and_that_is_no_entry;
    trail::readings_of_pixels_are_entries_and_the_same_one_is_one;
    trail::the_trail_is_its_hospitals_admins_and_reading_it_is_an_entry;
    trail::whoever_begins_to_read_in_the_middle_is_noted_and_whoever_goes_on_is_not_again;
    trail::what_is_told_in_ones_own_name_is_no_entry_of_storages_own;
    trail::a_role_that_must_say_why_is_told_nothing_without;
    trail::a_row_that_was_tampered_with_is_found_and_named;
    trail::a_tail_that_was_cut_off_is_found_by_what_was_anchored;
    trail::an_anchor_is_read_from_the_object_store_as_it_was_written;
    whose::an_identity_is_told_to_those_who_may_know_and_each_reading_is_noted;
    whose::the_identity_of_a_series_of_a_thousand_slices_is_kept_whole;
    whose::an_identity_that_was_bound_to_another_patient_or_other_voxels_is_not_told;
    whose::an_identity_is_encrypted_and_what_a_version_before_wrote_is_read;
    whose::another_hospitals_identity_is_as_if_it_never_was;
    whose::a_scan_without_an_identity_says_nothing_of_anybody;
    whose::a_list_has_what_was_asked_for_and_all_of_it;
    whose::who_may_not_know_whose_it_is_cannot_find_it_by_that;
    whose::the_same_key_with_other_words_about_the_file_is_another_upload;
    whose::a_scan_of_an_earlier_version_is_found_by_whose_it_is;
    studies::studies_are_found_by_what_their_files_say_newest_first;
    studies::each_identity_that_a_search_tells_is_noted_and_another_hospitals_is_none;
    studies::an_index_of_instances_is_for_those_who_may_know_whose_they_are;
    studies::a_study_of_an_earlier_version_is_found_by_name_and_day;
    priors::the_priors_of_a_scan_are_earlier_ones_of_the_same_patient;
    priors::the_same_image_and_the_scan_of_nobody_have_no_priors;
    priors::another_hospitals_scans_are_nobodys_priors;
    priors::a_prior_that_was_bound_to_another_patient_is_not_put_beside_a_scan;
    faults::a_bit_that_flips_at_rest_is_noticed_and_said;
    faults::a_lost_volume_fails_the_scan_in_words;
    faults::an_upload_that_breaks_off_leaves_nothing;
    faults::an_object_without_a_row_is_deleted_when_old;
    faults::a_full_disk_refuses_before_it_stores;
    feedback::a_readers_word_is_kept_and_told_to_whoever_listens;
    feedback::a_later_word_stands_beside_the_earlier_one;
    feedback::words_that_come_at_once_have_an_order_and_none_is_lost;
    masks::a_reader_sees_others_words_only_after_their_own;
    feedback::the_same_key_gives_once_and_is_its_readers_own;
    feedback::what_does_not_go_with_the_result_is_said_and_not_kept;
    feedback::nobody_speaks_of_a_scan_without_a_result;
    masks::a_mask_is_taken_whole_and_from_ingest_only;
    masks::an_outline_that_takes_longer_than_its_token_lives_is_kept_and_nothing_else_is_let_in;
    masks::the_sweep_for_orphans_leaves_readers_masks_alone;
    masks::another_hospitals_feedback_is_as_if_it_never_was;
    feedback::only_readers_give_feedback_and_see_it;
    feedback::scans_are_listed_by_how_far_their_review_is;
    feedback::a_review_is_asked_for_beside_other_things_by_those_who_may_know_it;
    masks::an_adjudicator_settles_a_conflict_and_nobody_else_does;
    learning::an_original_is_handed_to_services_alone_with_what_it_is_called_from_then_on;
    learning::nothing_is_learned_from_without_consent;
    learning::nothing_is_handed_out_after_consent_was_withdrawn_in_the_same_moment;
    learning::what_readers_confirm_is_handed_out_without_a_name;
    learning::a_head_without_a_tumour_is_handed_out_with_nothing_marked;
    learning::scans_of_one_patient_have_one_name_that_no_other_hospital_shares;
    learning::another_hospitals_confirmed_scans_are_as_if_they_never_were;
    incidents::a_report_is_kept_and_told_to_whoever_runs_the_system;
    incidents::a_patients_word_is_kept_as_one_and_passed_on_by_whom_they_told;
    incidents::a_patient_who_has_a_link_is_heard_and_told_nothing;
    incidents::a_link_ends_and_is_no_flood;
    incidents::a_link_is_made_by_whoever_sees_the_scan_and_not_without_end;
    incidents::a_link_is_listed_and_revoked_by_its_maker_and_by_admins;
    incidents::a_link_of_a_hospital_that_is_not_active_answers_as_an_unknown_one;
    incidents::nobody_reports_without_end;
    incidents::reports_are_read_by_their_own_admins_only;
    series::a_series_that_was_not_picked_is_kept_with_the_reason_and_analysed_when_asked_for;
    series::a_rule_about_series_holds_for_its_own_hospital_until_an_admin_takes_it_back;
    stops::a_model_is_stopped_by_its_hospitals_rule_until_somebody_decides;
    stops::a_stop_is_lifted_with_a_reason_and_what_was_before_counts_no_more;
    stops::a_rule_that_is_none_is_refused_and_nobody_else_sets_one;
    worklist::a_waiting_scan_is_made_urgent_and_is_next;
    worklist::a_scan_without_an_answer_is_analysed_anew_and_what_was_said_is_kept;
    worklist::a_failed_scan_is_tried_as_often_again;
    worklist::what_has_an_answer_or_was_judged_is_not_analysed_anew;
    worklist::of_a_deleted_scan_nothing_is_left_but_its_audit_trail;
    worklist::a_scan_is_deleted_while_it_is_analysed_and_its_key_makes_it_no_more;
    worklist::an_archive_is_kept_of_which_a_scan_was_deleted_before_its_end;
    worklist::what_is_done_with_a_scan_is_for_its_own_hospital;
    worklist::scans_of_a_study_are_called_alike_for_those_who_may_know;
    worklist::how_large_findings_are_is_listed_and_read_once_of_a_result_from_before;
    worklist::all_changes_are_told_in_one_stream_and_nobody_elses;
    worklist::who_comes_back_is_told_what_happened_meanwhile;
    worklist::changes_that_come_at_once_are_all_told;
    log::a_broken_database_is_logged_once_with_its_cause;
    log::what_a_caller_does_wrong_is_no_error_in_the_log;
}
