# %% [markdown]
# # Une séance de formation pour les praticiens
#
# Deux heures, pour douze personnes au plus qui liront des examens avec medseg. Qui la dirige exécute ce carnet ; les participants sont devant la page,
# chacun avec son propre compte. Les cas sont des têtes qui ne sont à personne : la vérité est connue, et l'examen de personne n'est montré.
# `training_session.py` est la même séance en anglais. La page du manuel pour les cliniciens (`/manual/clinicians.fr`, `/manual/clinicians`) est le
# document à distribuer.
#
# | minutes | quoi | comment |
# |--:|---|---|
# | 0 à 15 | ce que c'est, et ce que ce n'est pas | exposé : quatre réponses, recherche seulement, ce que disent le Dice et le doute |
# | 15 à 35 | la page | chacun se connecte, ouvre le volume et le fait défiler |
# | 35 à 75 | les cas | chacun seul, sans parler : un avis pour chacun |
# | 75 à 85 | pause | |
# | 85 à 105 | ce qu'il en est | ensemble : où étiez-vous loin de la vérité, où l'était medseg ? |
# | 105 à 120 | le questionnaire | d'abord sur papier, puis ensemble |
#
# À exécuter sur un medseg à part : le carnet crée des comptes et demande des avis.

# %%
from session import RIGHT, Session

session = Session("fr")

# %% [markdown]
# ## Avant de commencer : les comptes
#
# À distribuer sur papier. Un avis est la parole d'une seule personne : deux personnes ne partagent pas un compte.

# %%
session.make_accounts()

# %% [markdown]
# ## Avant de commencer : les cas
#
# Les participants ne voient que le numéro. Ce qu'il y a dans un cas reste ici.

# %%
session.make_cases()

# %% [markdown]
# ## Et deux fichiers qui n'entrent pas
#
# Faites-les envoyer par quelqu'un, et lisez à haute voix ce que dit la page : pourquoi, et que faire. Un refus ne dit rien d'un patient. L'interface de
# programmation, que ce carnet appelle, répond en anglais.

# %%
session.show_refusals()

# %% [markdown]
# ## Minute 75 : tous les avis sont-ils là ?
#
# Personne n'a vu ce qu'avaient dit les autres avant d'avoir dit quelque chose. Vous seul le voyez, en tant qu'administrateur.

# %%
session.count_verdicts()

# %% [markdown]
# ## Minute 85 : ce qu'il en est
#
# Parcourez les cas où des participants, ou medseg, sont loin de la vérité. Demandez d'abord ce que l'on a vu, puis dites ce que c'était. Aucun nom
# n'est lu à haute voix.

# %%
session.show_outcomes()

# %% [markdown]
# ## Minute 105 : le questionnaire
#
# Chaque question a une seule bonne réponse. Lisez-la à haute voix avec sa raison.

# %%
session.ask()

# %% [markdown]
# ## Les notes
#
# Entrez les lettres d'une feuille : `session.marks("bababbbbbc")`. Huit sur dix suffisent ; avec moins, relire le document, et refaire les cas une fois
# dans une semaine.

# %%
assert session.marks(RIGHT) == len(RIGHT)
assert session.marks("a" * len(RIGHT)) < 8, "who always says a would pass"

# %% [markdown]
# ## Après
#
# Les comptes restent : donnez-leur de nouveaux mots de passe (`medseg user reset-password`), ou remettez-les à leurs titulaires. Les avis restent aussi,
# et compteraient dans la qualité observée ; c'est pourquoi ce n'est le medseg d'aucun hôpital. Ce que les participants ont trouvé difficile dans la page
# mérite un signalement (**Signaler un problème**).
