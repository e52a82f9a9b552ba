/* SPDX-License-Identifier: Apache-2.0 */
/* Languages of what administrators read about reasons. Commands, settings and words of the protocols are never translated. Pure but for the
 * environment; any thread. */
#pragma once
#include "base/reason.h"
#include "base/slice.h"

enum admin_language { ADMIN_ENGLISH, ADMIN_GERMAN, ADMIN_RUSSIAN, ADMIN_CHINESE, ADMIN_LANGUAGE_COUNT };

const char *admin_language_name(enum admin_language l); /* "en" "de" "ru" "zh" */
/* "de", "de_AT.UTF-8", "zh-Hans"; false: not one of ours, *ret untouched. */
bool admin_language_parse(enum admin_language *ret, struct slice text);
/* By LC_ALL, LC_MESSAGES, LANG, as POSIX has it; English when they say nothing that is known. */
enum admin_language admin_language_of_environment(void);

/* The meaning; in English where the translation is missing. */
const char *admin_reason_text(enum reason r, enum admin_language l);
bool admin_reason_translated(enum reason r, enum admin_language l);
/* Usual causes, one sentence without a final stop; NULL: the row is missing. */
const char *admin_reason_cause(enum reason r, enum admin_language l);
/* What to do, with placeholders as in remedy.c; of ADMIN_ENGLISH NULL: that is admin_remedy. NULL: the row is missing. */
const char *admin_reason_remedy(enum reason r, enum admin_language l);
/* "an administrator of ours" for "admin" */
const char *admin_who_text(const char *who, enum admin_language l);
