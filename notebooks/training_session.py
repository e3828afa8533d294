# %% [markdown]
# # A training session for practitioners
#
# Two hours, for up to twelve people who will read scans with medseg. Whoever leads it runs this notebook; the participants sit before the page,
# each with an account of their own. The cases are heads that nobody has, so that the truth is known and nobody's scan is shown.
# `training_session_fr.py` is the same in French. The manual's page for clinicians (`/manual/clinicians`, `/manual/clinicians.fr`) is the
# handout.
#
# | minutes | what | how |
# |--:|---|---|
# | 0 to 15 | what it is, and what it is not | talk: four answers, research only, what Dice and doubt mean |
# | 15 to 35 | the page | everybody signs in, opens the volume and scrolls through it |
# | 35 to 75 | the cases | everybody alone, without talking: a verdict for each |
# | 75 to 85 | pause | |
# | 85 to 105 | what came of it | together: where did you differ from the truth, where did medseg? |
# | 105 to 120 | the quiz | on paper first, then together |
#
# Run it on a medseg of your own: it makes accounts, and asks for verdicts.

# %%
from session import RIGHT, Session

session = Session("en")

# %% [markdown]
# ## Before it begins: accounts
#
# Hand these out on paper. A verdict is one person's word: no two share an account.

# %%
session.make_accounts()

# %% [markdown]
# ## Before it begins: the cases
#
# Participants see only the number. What is in a case stays here.

# %%
session.make_cases()

# %% [markdown]
# ## And two that do not get in
#
# Let somebody send them, and read out what the page says: why, and what to do about it. A refusal says nothing about a patient.

# %%
session.show_refusals()

# %% [markdown]
# ## Minute 75: are all verdicts there?
#
# Nobody has seen what others said before they had said something themselves. Only you do, as an administrator.

# %%
session.count_verdicts()

# %% [markdown]
# ## Minute 85: what came of it
#
# Go through the cases where participants, or medseg, are not where the truth is. Ask first what one saw, and then what it was. Nobody's name is
# read out.

# %%
session.show_outcomes()

# %% [markdown]
# ## Minute 105: the quiz
#
# Each question has one right answer. Read it out with the reason.

# %%
session.ask()

# %% [markdown]
# ## Marks
#
# Put in the letters of one sheet: `session.marks("bababbbbbc")`. Eight of ten are enough; with less, read the handout again, and take the cases
# once more in a week.

# %%
assert session.marks(RIGHT) == len(RIGHT)
assert session.marks("a" * len(RIGHT)) < 8, "who always says a would pass"

# %% [markdown]
# ## After it
#
# The accounts stay: give them new passwords (`medseg user reset-password`), or to their owners. The verdicts stay, too, and would count in live
# quality; that is why this is no hospital's medseg. What participants found hard to
# do in the page is worth a report (**Report a problem**).
