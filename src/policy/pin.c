/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/pin.h"

#include <string.h>
#include "base/enc.h"

static bool from_hex(struct policy_pin *p, struct slice s)
{
	size_t n = 0;
	for (size_t i = 0; i < s.len;) {
		if (n && s.p[i] == ':')
			i++;
		int high = i < s.len ? hex_value(s.p[i]) : -1, low = i + 1 < s.len ? hex_value(s.p[i + 1]) : -1;
		if (high < 0 || low < 0 || n == sizeof p->sha256)
			return false;
		p->sha256[n++] = (unsigned char)(high << 4 | low);
		i += 2;
	}
	return n == sizeof p->sha256;
}

static bool from_base64(struct policy_pin *p, struct slice s)
{
	struct buf b;
	buf_init(&b, 64);
	bool ok = s.len == 44 && base64_get(&b, s) && b.len == sizeof p->sha256;
	if (ok)
		memcpy(p->sha256, buf_slice(&b).p, sizeof p->sha256);
	buf_free(&b);
	return ok;
}

bool policy_pin_parse(struct policy_pin *ret, struct slice text)
{
	struct policy_pin p;
	text = slice_trim(text);
	bool hex = slice_istarts(text, S("sha256:")), b64 = slice_istarts(text, S("sha256//"));
	if (hex)
		text = slice_skip(text, 7);
	if (b64)
		text = slice_skip(text, 8);
	if ((b64 || !from_hex(&p, text)) && (hex || !from_base64(&p, text)))
		return false;
	*ret = p;
	return true;
}

void policy_pin_print(struct buf *out, const struct policy_pin *p)
{
	hex_put(out, p->sha256, sizeof p->sha256);
}

bool policy_pin_match(const struct policy_pin *pins, size_t n, const unsigned char sha256[32])
{
	for (size_t i = 0; i < n; i++)
		if (!memcmp(pins[i].sha256, sha256, sizeof pins[i].sha256))
			return true;
	return false;
}
