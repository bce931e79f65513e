"""Tests of whose mistake an error is."""

import pytest

from swinir_lite.errors import InputError, input_errors


def test_input_errors_are_value_errors():
    assert issubclass(InputError, ValueError)


def test_chosen_kinds_become_input_errors_with_their_message_and_cause():
    cause = TypeError("depths need integers")
    with pytest.raises(InputError) as raised, input_errors(TypeError, OverflowError):
        raise cause
    assert str(raised.value) == "depths need integers"
    assert raised.value.__cause__ is cause


def test_other_kinds_stay_what_they_are():
    with pytest.raises(ZeroDivisionError), input_errors(TypeError):
        raise ZeroDivisionError


def test_an_input_error_is_not_wrapped_again():
    error = InputError("no such model")
    with pytest.raises(InputError) as raised, input_errors(ValueError):
        raise error
    assert raised.value is error
