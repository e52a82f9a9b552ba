/* SPDX-License-Identifier: Apache-2.0 */
/* One setting changed in the text of a configuration file, and nothing else: comments, order and spacing stay. Pure; any thread. */
#pragma once
#include "config/config.h"

/* Appends the text with the setting `key` set to `value` (a list: entries separated by commas, or YAML in brackets), or, with value.p == NULL,
 * without it, so that its default holds. Nothing is checked but that the result says what was meant: ENTENTE_ENOTFOUND: there is no such
 * setting (err names the nearest); ENTENTE_EINVAL: the value is not one of it; ENTENTE_EUNSUPPORTED: this file cannot be edited safely
 * there (a section in braces, a list of mappings): by hand, then. */
int config_edit(struct buf *out, struct slice text, struct slice key, struct slice value, struct entente_err *err);

/* The place of entry `index` of a list of mappings ("policy-tests") in the text; false when it is not there. */
bool config_place(struct slice text, const char *record, size_t index, unsigned *ret_line, unsigned *ret_column);
