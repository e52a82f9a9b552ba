/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the room: `entente quickstart`, in pieces: the answers (quickstart_ask.c), the deeds (quickstart.c), the words (quickstart_print.c). */
#pragma once
#include <stdio.h>
#include "admin/call.h"
#include "base/arena.h"
#include "plan/plan.h"
#include "setup/draft.h"
#include "setup/machine.h"

enum { QUICK_DOMAINS_MAX = 64, QUICK_ADDRESSES_MAX = 16 };

struct quick {
	struct admin_call *call;
	struct arena *arena;
	FILE *in, *out;              /* where the administrator is asked; NULL: nobody is */
	struct setup_machine machine;
	struct setup_answers answers;
	struct slice domains[QUICK_DOMAINS_MAX];
	struct slice addresses[QUICK_ADDRESSES_MAX]; size_t n_addresses; /* where partners reach us */
	struct setup_address dns[QUICK_ADDRESSES_MAX]; size_t n_dns;     /* of our name, as DNS has it now */
	bool nat;
	bool start;
	const char *file, *folder, *key_folder, *log;
	struct slice written_key, written_certificate, written_request, written_handout; /* paths; empty: not made */
	json_t *written, *commands, *next, *warnings;                                    /* owned by the call's data */
};

/* Fills answers, addresses, dns, nat: from the arguments, else by asking, else by what was found. An enum admin_exit; the call has the error. */
int quick_answers(struct quick *q);
/* "quickstart/ID": something to mind. */
void quick_warn(struct quick *q, const char *id, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void admin_quickstart_print(struct admin_call *c);
