/* SPDX-License-Identifier: Apache-2.0 */
/* Completion for shells, from the table of commands: words of commands, their options, values of an option. What bash, zsh and fish
 * share; inside this room. */
#pragma once
#include "admin/args.h"

#define ADMIN_LIST_PARTNERS "entente partner xmpp list --names 2>/dev/null"
#define ADMIN_LIST_KEYS "entente config explain 2>/dev/null | grep -v '^ '"

/* The values of an argument of type enum or reason, each with a space behind; nothing for other types. */
void admin_completion_words(struct buf *out, const struct admin_arg *a);
/* Calls word() for each word that may follow those of `path`, with what it is for. */
typedef void admin_completion_word(void *arg, const char *word, const char *summary);
void admin_completion_next(const char *const path[], admin_completion_word *word, void *arg);
