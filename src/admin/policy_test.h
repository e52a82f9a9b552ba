/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the room: the policy tests of the configuration, asked as `entente explain` is asked, of any snapshot. */
#pragma once
#include "admin/admin_int.h"

/* Runs all tests of `config` against `s` and appends {"line", "ok", "from", "to", "kind", "expect", "reason", "got", "got_reason", "why"} of each; why:
 * the steps in short, or what is wrong with the test itself. `text`: of the file, for the lines; may be empty. Returns how many fail. */
size_t policy_tests_run(struct admin *a, const struct config *config, struct slice text, struct snapshot *s, json_t *results);
/* "line 12: a message from A to B: expected allow, got refuse policy/partner-unknown (partner: deny: ...)", no newline. */
void policy_test_print(struct buf *out, json_t *result);
