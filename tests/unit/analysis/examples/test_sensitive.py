"""Names whose values are secrets, and names that only look like it."""

import pytest

from xds_server.analysis.examples.sensitive import Level, Names, level_of

SECRET = """
authorization Authorization proxy-authorization cookie Cookie set-cookie x-api-key X-API-Key api_key apiKey apikey
APIKEY token access_token accessToken ACCESS_TOKEN refresh-token id_token auth_token x-auth-token csrfToken _csrf
x-xsrf-token secret client_secret clientSecret secret_key aws_secret_access_key password Password passwd pwd
user_password password_hash passwordConfirmation newPassword2 session session_id sessionId sessionid JSESSIONID
PHPSESSID sid connect.sid csrf
xsrf csrfmiddlewaretoken private_key privateKey credit_card creditCardNumber card_number cardNumber
pass Pass pass2 user[pass] userPass db_pass pw user_pw recovery_codes recoveryCode backup_codes code_verifier
cvv cvv2 ssn customer_ssn iban IBAN social_security_number X-Amz-Signature X-Amz-Credential accesstoken clientsecret otp
"""
SHOWN = """
tokens_used token_count token_type tokenType token_expires_in password_policy password_required cookie_consent
session_count session_duration session_timeout secretary author authority authorized authenticate tokenizer side inside
sidebar residence passage assignment design designated signature_valid key keys card cards
auth_time card_type id name price
status address number host accept content-type cookies_accepted private public api access assign monkey ssnake
passed passes passing boarding_pass pass_rate passCount pass_through bypass compass code codes discount_code error_code
recovery_email recovery power pwm
"""


@pytest.mark.parametrize("name", SECRET.split())
def test_a_sensitive_name_is_known_however_it_is_written(name: str) -> None:
    assert level_of(name) is Level.ALL


@pytest.mark.parametrize("name", SHOWN.split())
def test_a_name_that_is_or_tells_no_secret_is_shown(name: str) -> None:
    assert level_of(name) is Level.SHOWN


@pytest.mark.parametrize("name", ["tokens", "max_tokens", "promptTokens", "secrets", "sessions", "api_keys", "cookies"])
def test_in_the_plural_texts_are_hidden_and_counts_are_shown(name: str) -> None:
    assert level_of(name) is Level.TEXTS


def test_names_of_a_profile_are_compared_whole_in_any_spelling() -> None:
    names = Names(["X-Tenant", "home_phone"])
    assert [names.level(name) for name in ("x-tenant", "xTenant", "homePhone", "HOME-PHONE")] == [Level.ALL] * 4
    assert [names.level(name) for name in ("x-tenant-name", "phone", "tenant")] == [Level.SHOWN] * 3
    assert names.level("password") is Level.ALL


def test_a_name_of_a_profile_without_latin_letters_is_known_too() -> None:
    assert Names(["пароль"]).level("Пароль") is Level.ALL


def test_names_however_long_or_odd_are_taken() -> None:
    for name in ("", "\0", "é" * 10_000, "password" * 10_000, "A" * 100_000, "-" * 100_000):
        level_of(name)
