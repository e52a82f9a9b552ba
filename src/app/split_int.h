/* SPDX-License-Identifier: Apache-2.0 */
/* Private to split*.c. */
#pragma once
#include <pthread.h>
#include <stdatomic.h>
#include "app/split.h"

/* Which link of the gateway is on which of the edge's workers: read for every stanza, so without a lock. */
struct edge_slot {
	_Atomic uint64_t at;  /* serial number of the link << 8 | 1 + worker; 0: none */
	_Atomic bool busy;    /* it has as much to write as it should */
};

struct edge_hub {
	pthread_mutex_t lock; /* for whatever changes below; what is atomic may be read without */
	uint8_t instance[LINK_INSTANCE]; /* of the gateway */
	_Atomic unsigned n;              /* its workers; 0: none was ever there */
	struct edge_slot slots[POOL_WORKERS_MAX];
	uint64_t serial;                 /* of the last link */
	uint8_t policy_of[LINK_INSTANCE]; /* whose policy, and which, is in force */
	uint64_t policy;
	_Atomic bool has_policy;
	uint64_t recheck, recheck_from;  /* generation; a bit for each of the gateway's workers that has said so */
	char secret[LINK_SECRET_MAX];
	size_t secret_len;
};

struct split_app {
	uint8_t instance[LINK_INSTANCE];
	char *name;
	struct slice names[LINK_NAMES_MAX]; /* owned */
	size_t n_names;
	struct tls_material *tls;
	struct edge_hub hub;
};
