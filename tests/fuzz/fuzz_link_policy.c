/* SPDX-License-Identifier: Apache-2.0 */
/* The policy as the gateway pushes it to an edge. What can be read is written, read and written again: the same octets. */
#include "fuzz.h"
#include "link/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_of((const char *)data, size), secret, secret_again;
	struct snapshot *s, *again;
	struct entente_err err = {0};
	struct buf one, two;
	if (size > 65536)
		return 0;
	if (link_policy_read(&s, &secret, in, 7, &err)) {
		MUST(err.text[0]);
		return 0;
	}
	MUST(inside(in, secret) && secret.len <= LINK_SECRET_MAX && snapshot_generation(s) == 7);
	buf_init(&one, LINK_POLICY_MAX);
	buf_init(&two, LINK_POLICY_MAX);
	link_policy_write(&one, s, secret);
	MUST(buf_ok(&one) && link_policy_read(&again, &secret_again, buf_slice(&one), 7, &err) == 0);
	MUST(slice_eq(secret, secret_again) && snapshot_partner_count(s) == snapshot_partner_count(again));
	link_policy_write(&two, again, secret_again);
	MUST(slice_eq(buf_slice(&one), buf_slice(&two)));
	snapshot_unref(s);
	snapshot_unref(again);
	buf_free(&one);
	buf_free(&two);
	return 0;
}
