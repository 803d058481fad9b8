"""What went wrong with the database, in words that give nothing away.

Belongs here: sorting PostgreSQL's errors into those that may pass and those that somebody must mend.
Does not: the transaction (postgres.py).

What the driver says of a connection may hold parts of the URL, so only reasons from the list below are repeated. Of a
statement, only the server's first line is: its details may show rows.
"""

import re

from segmentation_pipeline.errors import PipelineError, TransientFault


class PublishingRefused(PipelineError):
    """The database cannot be published into until somebody mends it; the message says what to do."""


# What may pass by itself, by what libpq says; anything else about a connection has to be mended.
PASSING = (
    "Connection refused",
    "could not translate host name",
    "timeout expired",
    "No route to host",
    "Network is unreachable",
    "Connection timed out",
    "the database system is starting up",
    "the database system is shutting down",
    "too many clients already",
    "remaining connection slots are reserved",
    "server closed the connection unexpectedly",
    "Connection reset by peer",
)
LASTING = ("password authentication failed", "no pg_hba.conf entry", "no password supplied", "does not exist")

# What may pass by itself, by SQLSTATE or the first signs of it.
PASSING_STATES = {
    "55P03": "another transaction held a lock for too long",
    "57014": "a statement took longer than the server allows, or was cancelled",
    "40": "another transaction was in the way",
    "53": "the server is short of memory, disk or connections",
    "57": "the server was shut down or ended the connection",
    "08": "the connection was lost",
}
CONNECTION_LOST = "08006"
UNKNOWN = "XX000"
NOT_PERMITTED = "42501"
# What a role meets: a schema that it may not use is not searched, so its tables seem not to be there.
PERMISSION_STATES = (NOT_PERMITTED, "42P01", "3F000")


def of_connecting(told: str, variable: str) -> PipelineError:
    """The error to raise when no connection comes about."""
    where = f"The database that ${variable} names cannot be reached"
    for reason in PASSING:
        if reason in told:
            return TransientFault(
                f"{where}: {reason}. Nothing was published. Check that the server runs and can be reached from here; "
                "`segmentation run` takes the day up again."
            )
    reason = next((reason for reason in LASTING if reason in told), "the server or the driver refuses the address")
    return PublishingRefused(
        f"{where}: {reason}. Nothing was published. Put a URL such as postgresql://user:password@host:5432/database into "
        f"the environment variable {variable}, of a role that may log in to that database."
    )


def of_statement(told: str, state: str, variable: str) -> PipelineError:
    """The error to raise when a statement fails, other than for a missing permission."""
    passing = next((reason for start, reason in PASSING_STATES.items() if state.startswith(start)), None)
    if passing:
        return TransientFault(
            f"Publishing into the database that ${variable} names broke off: {passing} (SQLSTATE {state}). Everything of "
            "the day was rolled back; `segmentation run` takes it up again."
        )
    found = re.search(r"ERROR:\s*(.*)", told)
    return PublishingRefused(
        f"The database that ${variable} names refused to publish: {found.group(1) if found else 'no reason given'} "
        f"(SQLSTATE {state}). Everything of the day was rolled back; mend the database, then publish the day again."
    )


def of_permission(grants: list[str], variable: str, schema: str) -> PublishingRefused:
    """The error to raise when the role lacks a permission."""
    listed = "".join(f"\n  {grant};" for grant in grants)
    advice = f"Have the database's owner run:{listed}" if grants else f"Let the role own the tables of schema {schema}."
    return PublishingRefused(
        f"The role of the URL in ${variable} may not publish into schema {schema}. Nothing was published. {advice}"
    )
