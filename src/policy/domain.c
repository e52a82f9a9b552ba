/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/domain.h"

static bool label_ok(const char *p, size_t n)
{
	return n >= 1 && n <= 63 && p[0] != '-' && p[n - 1] != '-';
}

bool policy_domain_make(struct policy_domain *ret, struct slice text)
{
	if (text.len && text.p[text.len - 1] == '.')
		text.len--;
	if (!text.len || text.len > POLICY_DOMAIN_MAX)
		return false;
	struct policy_domain d;
	size_t start = 0;
	bool digits = true;
	for (size_t i = 0; i < text.len; i++) {
		char c = text.p[i];
		if (c >= 'A' && c <= 'Z')
			c = (char)(c + 32);
		d.text[i] = c;
		if (c == '.') {
			if (!label_ok(d.text + start, i - start))
				return false;
			start = i + 1;
			digits = true;
		} else if ((c >= 'a' && c <= 'z') || c == '-') {
			digits = false;
		} else if (c < '0' || c > '9') {
			return false;
		}
	}
	if (digits || !label_ok(d.text + start, text.len - start))
		return false;
	d.text[text.len] = '\0';
	ret->len = text.len;
	memcpy(ret->text, d.text, text.len + 1);
	return true;
}

bool policy_domain_valid(struct slice text)
{
	struct policy_domain d;
	return policy_domain_make(&d, text) && slice_eq(policy_domain_slice(&d), text);
}

static bool is_wild(struct slice text)
{
	return slice_starts(text, S("*."));
}

struct slice policy_pattern_base(struct slice pattern)
{
	return is_wild(pattern) ? slice_skip(pattern, 2) : pattern;
}

static bool pattern(struct policy_domain *ret, struct slice text, bool make(struct policy_domain *, struct slice))
{
	struct policy_domain d;
	if (!is_wild(text))
		return make(ret, text);
	if (!make(&d, policy_pattern_base(text)) || d.len + 2 > POLICY_DOMAIN_MAX || !memchr(d.text, '.', d.len))
		return false;
	memcpy(ret->text, "*.", 2);
	memcpy(ret->text + 2, d.text, d.len + 1);
	ret->len = d.len + 2;
	return true;
}

bool policy_pattern_make(struct policy_domain *ret, struct slice text)
{
	return pattern(ret, text, policy_domain_make);
}

bool policy_pattern_import(struct policy_domain *ret, struct slice text)
{
	return pattern(ret, text, policy_domain_import);
}

bool policy_pattern_valid(struct slice text)
{
	struct policy_domain d;
	return policy_pattern_make(&d, text) && slice_eq(policy_domain_slice(&d), text);
}
