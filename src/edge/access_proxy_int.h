/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the proxy core: access_look.c and access_proxy.c. */
#pragma once
#include "base/map.h"
#include "edge/access_proxy.h"


struct access_proxy {
	struct access_proxy_config cfg;
	struct access_rules rules;
	char allow[256]; /* header Allow: the methods of the rules */
	const struct access_proxy_ops *ops;
	void *arg;
	struct map legs;
	size_t n_settled; /* of them */
	uint64_t next;
	struct buf out;
};

bool access_own_uri(const struct access_proxy *p, const struct sip_uri *u);
/* How many Routes on top name us; *ret_all: how many there are. */
size_t access_own_routes(const struct access_proxy *p, const struct sip_msg *m, size_t *ret_all);
struct access_hide access_hide_of(const struct access_proxy *p);
uint64_t access_loop_hash(const struct sip_msg *m, bool outward);

/* In our Record-Route towards partners: a mark of the tag of who made the dialog. */
#define ACCESS_MARK_PARAM "dlg"
#define ACCESS_DIALOG_MARK 'd'
#define ACCESS_TRANSIT_MARK 't' /* of a dialog between two partners */
