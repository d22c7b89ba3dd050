"""How other routers fail, by number, and the tests that show that it cannot happen here."""

from __future__ import annotations

import ast
from pathlib import Path

HERE = Path(__file__).parent
FAILURES: dict[int, str | tuple[str, ...]] = {
    1: "router/test_known_failures.py::test_1_images_that_arrive_while_the_series_is_routed_are_delivered_too",
    2: "router/test_known_failures.py::test_2_an_image_whose_row_is_not_written_yet_survives_closing_routing_and_cleaning",
    3: "routing/test_routing_versions.py::test_a_target_in_use_cannot_be_removed",
    4: "receiver/test_receiver_trouble.py::test_below_its_reserve_it_accepts_associations_and_refuses_images",
    5: "router/test_known_failures.py::test_5_two_routers_on_one_study_decide_each_arrival_once",
    6: "router/test_known_failures.py::test_6_a_decision_that_fails_half_way_has_not_happened",
    7: "router/test_router_studies.py::test_7_a_study_that_is_still_arriving_is_never_discarded_for_its_age",
    8: "cleaner/test_cleaner.py::test_pressure_lifts_the_window_but_never_the_retention",
    9: "cleaner/test_cleaner.py::test_a_protected_delivery_keeps_its_arrival_even_if_the_state_says_delivered",
    10: "receiver/test_receiver_images.py::test_an_association_that_dies_in_the_middle_keeps_what_was_acknowledged",
    11: "router/test_known_failures.py::test_11_queue_and_timers_survive_the_death_of_everything",
    12: "dispatcher/test_slot_working.py::test_images_refused_in_an_earlier_attempt_still_park_the_delivery",
    13: "receiver/test_receiver_images.py::test_an_association_that_dies_in_the_middle_keeps_what_was_acknowledged",
    14: "receiver/test_receiver_trouble.py::test_an_image_whose_sync_failed_is_not_acknowledged_and_ends_the_process",
    15: "dispatcher/test_slot_working.py::test_refused_images_park_with_their_reason_after_the_rest_was_sent_and_a_retry_sends_only_them",
    16: "router/test_known_failures.py::test_16_the_claim_of_a_killed_dispatcher_does_not_hold_a_series_for_ever",
    17: "router/test_known_failures.py::test_17_a_truncated_file_is_set_aside_once_and_stops_nothing",
    18: "routing/test_routing_survival.py::test_a_half_written_newest_version_leaves_the_former_in_force_for_old_and_new_services",
    19: "dispatcher/test_dispatcher_processes.py::"
        "test_targets_that_are_down_refuse_abort_or_hang_delay_nobody_and_are_retried_parked_and_brought_through",
    20: "dispatcher/test_slot_working.py::test_a_dead_target_does_not_delay_the_others",
    21: "dispatcher/test_three_days_away.py::test_nothing_is_given_up_while_it_is_away",
    22: "spool/test_claim_order.py::test_22_what_waits_long_enough_is_as_good_as_urgent",
    23: "dispatcher/test_dispatcher_processes.py::test_slots_that_cannot_start_are_tried_again_with_growing_waits",
    24: "receiver/test_receiver_known_failures.py::"
        "test_24_one_malformed_dataset_in_a_series_does_not_end_the_association_or_cost_another_image",
    25: "header/test_charset.py::test_any_bytes_in_any_set_become_text_that_can_be_stored",
    26: "dispatcher/test_kept_sessions.py::test_after_a_timeout_it_is_never_used_again",
    27: ("bookkeeper/test_bookkeeper_trouble.py::test_events_that_no_database_takes_as_they_are_do_not_stop_the_cursor",
         "bookkeeper/test_bookkeeper_away.py::test_poison_raises_one_alert_and_the_next_only_after_a_while",
         "bookkeeper/alerts/test_alert_rules.py::test_an_event_of_a_form_that_nobody_knows_stops_nothing"),
    28: "routing/rules/test_rule_attacks.py::test_rules_see_every_image_and_a_missing_tag_or_an_error_is_not_a_silent_no",
    29: "router/test_known_failures_of_rules.py::test_29_every_fallback_counts_and_none_runs_beside_another_rule",
    30: "spool/test_way_of_a_series.py::test_the_same_object_twice_is_one_image_and_a_changed_one_replaces_it",
    31: "spool/test_way_of_a_series.py::test_a_late_image_opens_an_addendum_and_only_it_is_sent",
    32: "router/test_known_failures_of_rules.py::test_32_two_senders_of_one_series_are_two_arrivals_and_rules_tell_them_apart",
    33: "cleaner/test_cleaner.py::test_in_the_night_of_the_change_the_window_goes_by_the_clock_on_the_wall",
    34: ("network/test_ledger_away.py::test_routing_goes_on_while_the_ledger_is_away_and_afterwards_it_is_complete",
         "bookkeeper/test_bookkeeper_trouble.py::test_a_bookkeeper_killed_again_and_again_while_events_stream_in_writes_each_once",
         "bookkeeper/test_bookkeeper_once.py::test_a_bookkeeper_that_only_listens_loses_what_it_did_not_hear",
         "network/test_chaos.py::test_kill_nine_at_any_moment_loses_nothing_and_repeats_no_history"),
    35: "dispatcher/test_slot_working.py::"
        "test_an_orderly_stop_finishes_the_image_and_gives_the_rest_back_without_using_up_an_attempt",
    36: "network/test_hostile_objects.py::test_impossible_objects_are_quarantined_and_good_ones_beside_them_arrive",
    37: "network/test_hostile_objects.py::test_impossible_objects_are_quarantined_and_good_ones_beside_them_arrive",
    38: "receiver/test_receiver_known_failures.py::test_38_nothing_that_a_peer_says_or_is_called_reaches_a_shell_or_a_name_server",
    39: "webgui/security/test_security_text.py::test_hostile_texts_are_text_on_every_page",
    40: "webgui/security/test_security_roles.py::test_a_read_only_user_changes_nothing_whatever_they_send",
    41: "routing/rules/test_rule_attacks.py::test_no_attribute_of_python_is_reachable",
    42: "webgui/test_webgui_auth.py::test_guessing_is_stopped_even_for_the_right_password",
    43: "dicom/test_scp_fuzz.py::test_a_pdu_that_lies_about_its_length_ends_the_association_only",
    44: "receiver/test_receiver_known_failures.py::test_44_slow_loris_and_thousands_of_connections_end_in_time_and_keep_no_scanner_out",
    45: ("receiver/test_receiver_images.py::test_no_patient_data_in_logs_and_events",
         "webgui/test_metrics.py::test_no_label_tells_of_a_patient_or_holds_a_uid",
         "bookkeeper/alerts/test_alert_watch.py::test_no_patient_s_data_is_in_any_alert_event_log_or_letter"),
}  # fmt: skip

_REQUESTS = "webgui/security/test_security_requests.py"
ATTACKS = {
    "another site makes a browser change something (CSRF)": f"{_REQUESTS}::test_no_change_is_taken_from_another_site_on_any_route",
    "a websocket from another site": f"{_REQUESTS}::test_no_socket_is_opened_for_another_site",
    "session fixation": f"{_REQUESTS}::test_a_session_that_somebody_else_chose_is_none",
    "a session or token that was revoked": "webgui/test_webgui_people.py::test_an_admin_ends_sessions_and_tokens_of_others",
    "a user who was shut out": "webgui/test_webgui_auth.py::test_a_disabled_user_is_out_at_the_next_request",
    "brute force": "webgui/test_webgui_auth.py::test_guessing_is_stopped_even_for_the_right_password",
    "brute force over a restart": f"{_REQUESTS}::test_a_failed_guess_counts_after_a_restart_too",
    "open redirect": f"{_REQUESTS}::test_nobody_is_sent_to_another_site",
    "header injection": f"{_REQUESTS}::test_what_comes_in_a_path_or_query_becomes_no_header",
    "path traversal on static files": f"{_REQUESTS}::test_static_files_are_those_of_the_folder_alone",
    "path traversal in a ZIP": "webgui/test_webgui_upload.py::test_a_zip_is_unpacked_and_its_paths_are_names_only",
    "upload bombs": "webgui/test_webgui_upload.py::test_a_bomb_is_stopped_by_what_it_unpacks_to",
    "no entry, no entrance": "webgui/test_webgui_auth.py::test_a_route_without_permission_entry_is_denied_even_to_admins",
    "every role on every route": "webgui/security/test_security_roles.py::test_every_role_is_refused_what_it_may_not_on_every_route",
    "acts over the websocket": "webgui/security/test_security_roles.py::test_nothing_sent_over_the_socket_changes_anything",
    "formulas in CSV": "webgui/security/test_security_text.py::test_files_for_spreadsheets_hold_no_formula",
    "markup, 10 kB and right-to-left marks on pages and charts":
        "webgui/security/test_security_text.py::test_hostile_texts_are_text_on_every_page",
    "the same in mail": "bookkeeper/alerts/test_alert_words.py::test_no_text_becomes_a_header_or_a_recipient_of_a_mail",
    "default passwords": "webgui/test_webgui_auth.py::test_without_the_link_there_is_no_setup",
    "inline code": f"{_REQUESTS}::test_every_answer_carries_the_headers_and_pages_allow_no_inline_code",
}  # fmt: skip
"""What the page has to withstand, each with its test."""


def _each(held: str | tuple[str, ...]) -> tuple[str, ...]:
    return (held,) if isinstance(held, str) else held


def test_every_known_failure_and_attack_has_its_test() -> None:
    assert sorted(FAILURES) == list(range(1, 46))
    for number, place in ((number, one) for number, held in {**FAILURES, **ATTACKS}.items() for one in _each(held)):
        file, _, name = place.partition("::")
        tree = ast.parse((HERE / file).read_text("utf-8"))
        functions = {one.name for one in ast.walk(tree) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert name in functions, f"{number}: {place}"
