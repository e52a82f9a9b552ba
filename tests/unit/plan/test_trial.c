/* SPDX-License-Identifier: Apache-2.0 */
/* The certificate for the first start: with the key of a request, a server starts with it, and everybody can see what it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include "../net/pki.h"
#include "base/clock.h"
#include "plan/request.h"
#include "plan/trial.h"

static void put(const char *name, struct slice text)
{
	FILE *f = fopen(pki_path(name), "w");
	assert_non_null(f);
	assert_int_equal(fwrite(text.p, 1, text.len, f), text.len);
	fclose(f);
}

static void test_trial(void **state)
{
	static const struct slice names[] = {S("contoso.example"), S("a-name-that-is-longer-than-the-sixty-four-characters-of-a-common-name.contoso.example")};
	(void)state;
	pki_dir_make();
	for (int k = PLAN_KEY_RSA_2048; k < PLAN_KEY_COUNT; k += PLAN_KEY_P256 - PLAN_KEY_RSA_2048) {
		struct buf key, csr, cert;
		struct entente_err err = {0};
		struct tls_material *m = NULL;
		const struct tls_peer *f;
		buf_init(&key, PLAN_KEY_PEM_MAX);
		buf_init(&csr, 65536);
		buf_init(&cert, 65536);
		assert_int_equal(plan_request_make(&key, &csr, &(struct plan_request){.key = (enum plan_key)k, .subject = names[0], .names = names, .n_names = 2, .server = true}, &err), 0);
		assert_int_equal(plan_trial_make(&cert, buf_slice(&key), names, 2, 30, &err), 0);
		put("trial.pem", buf_slice(&cert));
		put("trial.key", buf_slice(&key));
		struct tls_settings s = {.server_chain = pki_path("trial.pem"), .server_key = pki_path("trial.key")};
		if (tls_material_load(&m, &s, &err))
			fail_msg("%s", err.text);
		f = tls_material_facts(m, TLS_SLOT_SERVER);
		assert_int_equal(f->n_dns, 2);
		assert_true(slice_eq(f->dns[0], names[0]) && slice_eq(f->dns[1], names[1]));
		assert_true(f->self_signed && f->eku_server && f->eku_client);
		assert_true(slice_find(f->subject, S("to be replaced")) >= 0);
		assert_true(f->not_before < clock_unix() && f->not_after > clock_unix() + 29 * 86400 && f->not_after < clock_unix() + 31 * 86400);
		tls_material_unref(m);
		/* the long name first: no common name, and still a certificate */
		buf_clear(&cert);
		assert_int_equal(plan_trial_make(&cert, buf_slice(&key), names + 1, 1, 30, &err), 0);
		assert_int_equal(plan_trial_make(&cert, buf_slice(&key), names, 0, 30, &err), ENTENTE_EINVAL);
		assert_int_equal(plan_trial_make(&cert, S("-----BEGIN nothing"), names, 1, 30, &err), ENTENTE_EINVAL);
		assert_int_equal(plan_trial_make(&cert, SLICE_NONE, names, 1, 30, NULL), ENTENTE_EINVAL);
		buf_wipe(&key);
		buf_free(&csr);
		buf_free(&cert);
	}
	pki_dir_remove();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {cmocka_unit_test(test_trial)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
