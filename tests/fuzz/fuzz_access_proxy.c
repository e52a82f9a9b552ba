/* SPDX-License-Identifier: Apache-2.0 */
/* Any messages from homes and partners, in any order, into the proxy core. Input: chunks of one octet (bit 0: from a partner; bit 1: no way is
 * found for it; bit 2: seconds pass afterwards; bit 3: its connections break; bit 4: telephone numbers pass and refusals are explained; bit 5: the home
 * is reached by TLS; bit 6: partners see nothing of what is behind us), two of length, and the message. What leaves the organisation carries no trust header and comes by our Via; when all is
 * over nothing is left. */
#include <stdlib.h>
#include "../unit/edge/proxy_rig.h"
#include "edge/access_dialogs.h"

#define MUST(x)             \
	do {                \
		if (!(x))   \
			abort(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct access_dialogs *dialogs; /* told of what passes, as the edge tells them */

static void on_dialog(void *arg, const struct access_dialog_facts *f)
{
	size_t *n = arg;
	MUST(f->kind && f->state && f->local.len <= ACCESS_DIALOG_URI && f->remote.len <= ACCESS_DIALOG_URI && f->requests_in + f->requests_out);
	++*n;
}

static void on_sent(struct rig *r, int which, struct slice octets)
{
	static const struct sip_limits wide = {1 << 22, 4096, 1 << 22};
	struct arena *a = arena_new(1 << 23);
	struct sip_msg *m;
	struct sip_fault fault;
	MUST(sip_msg_parse(&m, a, octets, &wide, &fault) == 0 || r->broken); /* whatever came in, what goes out is sound */
	if (m && which == RIG_OUTER)
		for (size_t i = 0; i < m->n_headers; i++) {
			MUST(!slice_ieq(m->headers[i].name, S("ms-user-data")) && !slice_ieq(m->headers[i].name, S("Entente-Reason")));
			MUST(!slice_ieq(m->headers[i].name, S("Remote-Party-ID")) && !slice_ieq(m->headers[i].name, S("ms-diagnostics")));
		}
	if (m && m->is_request && m->method != SIP_CANCEL && m->method != SIP_ACK)
		MUST(slice_eq(m->via.host, which == RIG_OUTER ? S("edge.ours.test") : r->tls_home ? S("edge.ours.test") : S("10.0.0.2")));
	if (m && m->is_request)
		access_dialogs_request(dialogs, r->timers.now, which == RIG_OUTER, m);
	else if (m)
		access_dialogs_response(dialogs, r->timers.now, which != RIG_OUTER, m);
	arena_release(NULL, a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct rig r;
	struct access_hide_keys keys;
	access_hide_keys(&keys, S("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"));
	rig_start(&r);
	dialogs = access_dialogs_new(4);
	r.on_sent = on_sent;
	r.one_conn = true;
	r.terms.marks = (struct access_marks){.source_type = "DirectPartner", .edge_name = S("edge.ours.test")};
	r.marks = (struct access_marks){.mark = true};
	while (size > 3) {
		uint8_t how = data[0];
		size_t n = (size_t)data[1] << 8 | data[2];
		struct access_rules rules = access_rules_default;
		struct sip_flow f = rig_flow(how & 1, 1);
		data += 3;
		size -= 3;
		n = n < size ? n : size;
		r.way = how & 2 ? RIG_LOST : RIG_AT_ONCE;
		r.tls_home = how & 32;
		rules.telephone = rules.public_diagnostics = how & 16;
		rules.hide = how & 64;
		rules.keys = keys;
		access_proxy_set(r.proxy, &rules);
		if (rig_feed(&r, how & 1, 1, slice_of((const char *)data, n)) && (how & 4))
			rig_run(&r, 5000);
		if (how & 8)
			sip_stack_transport_failed(r.side[how & 1].stack, &f);
		data += n;
		size -= n;
	}
	rig_run(&r, 600000);
	size_t n = 0;
	struct access_dialog_counts counts;
	access_dialogs_each(dialogs, r.timers.now, on_dialog, &n);
	access_dialogs_counts(dialogs, &counts);
	MUST(n == counts.open && n <= 4);
	dialogs = access_dialogs_free(dialogs);
	MUST(access_proxy_legs(r.proxy) == 0);
	MUST(sip_stack_stats(r.side[0].stack)->servers == 0 && sip_stack_stats(r.side[1].stack)->clients == 0);
	rig_end(&r);
	return 0;
}
