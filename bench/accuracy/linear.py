"""Peers of scikit-learn: TF-IDF or static token vectors (Model2Vec), with logistic regression or a linear SVM.

The strength of the penalty is chosen on a held-out part of at most 5,000 training rows, then all are fitted.
"""

from __future__ import annotations

import os
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from bench.accuracy import rows as r
from bench.accuracy.contender import Contender, Fitted, Floats, PeerPredictor, Scores, Setup, timed
from bench.accuracy.sets import Trial

STRENGTHS = (3.0, 30.0, 300.0)  # C of the logistic regression
SVM_STRENGTHS = (0.1, 0.3, 1.0)
SEARCHED = 5_000  # rows
HELD_OUT = 0.2
FOLDS = 5


def words_and_letters(setup: Setup) -> Any:
    """TF-IDF of words and pairs of words, and of pieces of 2 to 5 letters within words."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_union

    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, min_df=2)
    return make_union(words, letters)


class StaticVectors:
    """Vectors of texts by a model2vec distillation of the base."""

    def __init__(self, setup: Setup) -> None:
        self._model = distilled(setup.base, setup.kept)

    def fit_transform(self, texts: list[str]) -> Floats:
        return self.transform(texts)

    def transform(self, texts: list[str]) -> Floats:
        vectors: Floats = self._model.encode(texts, max_length=None)
        return vectors


@cache
def distilled(base: Path, kept: Path) -> Any:
    """Made once; takes about half a minute."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from model2vec import StaticModel
    from model2vec.distill import distill

    folder = kept / "model2vec"
    if not folder.exists():
        distill(str(base), pca_dims=256, device="cpu").save_pretrained(str(folder))
    return StaticModel.from_pretrained(str(folder))


def logistic(strength: float) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=strength, max_iter=300, tol=1e-3)


def svm(strength: float) -> Any:
    from sklearn.svm import LinearSVC

    return LinearSVC(C=strength)


def fit(trial: Trial, setup: Setup, *, name: str, features: Any, model: Any, strengths: tuple[float, ...]) -> Fitted:
    """`features(setup)` makes the vectorizer, `model(strength)` the classifier."""
    texts, wanted = list(map(r.text, trial.train)), [row["label"] for row in trial.train]
    with timed() as clock:
        vectorizer = features(setup)
        found = vectorizer.fit_transform(texts)
        strength = _strength(found, wanted, model, strengths)
        classifier = _per_label(model(strength)) if trial.combined else model(strength)
        classifier.fit(found, wanted)
    assert tuple(classifier.classes_) == trial.labels
    scores = _scores(vectorizer, classifier)
    predictor = PeerPredictor(name, trial, scores, calibrated=hasattr(classifier, "predict_proba"))
    return Fitted(predictor, clock.seconds, clock.cpu_seconds, {"C": strength, "features": found.shape[1]})


def _strength(found: Any, wanted: list[str], model: Any, strengths: tuple[float, ...]) -> float:
    """The strength that answers most of the held-out rows rightly."""
    from sklearn.model_selection import train_test_split

    rows = np.random.default_rng(0).permutation(len(wanted))[:SEARCHED]
    left, right = train_test_split(rows, test_size=HELD_OUT, random_state=0)
    names = np.array(wanted)
    right_of = {c: model(c).fit(found[left], names[left]).score(found[right], names[right]) for c in strengths}
    return max(strengths, key=lambda c: right_of[c])


def _per_label(model: Any) -> Any:
    """One classifier per label, each against all others."""
    from sklearn.multiclass import OneVsRestClassifier

    return OneVsRestClassifier(model)


def _scores(vectorizer: Any, classifier: Any) -> Scores:
    def scores(texts: list[str]) -> Floats:
        found = vectorizer.transform(texts)
        if hasattr(classifier, "predict_proba"):
            if hasattr(classifier, "estimators_"):  # OneVsRestClassifier scales its own to a sum of 1
                return np.stack([one.predict_proba(found)[:, 1] for one in classifier.estimators_], axis=1)
            return np.asarray(classifier.predict_proba(found))
        margins = classifier.decision_function(found)
        return np.asarray(1 / (1 + np.exp(-margins)))

    return scores


def suspects(trial: Trial, setup: Setup, *, features: Any, model: Any, strengths: tuple[float, ...]) -> set[int]:
    """Rows that confident learning (cleanlab) holds for mislabelled, by probabilities of five folds."""
    from cleanlab.filter import find_label_issues
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    number = {label: i for i, label in enumerate(trial.labels)}
    wanted = np.array([number[row["label"]] for row in trial.train])
    found = features(setup).fit_transform(list(map(r.text, trial.train)))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=setup.seed)
    probabilities = cross_val_predict(model(strengths[1]), found, wanted, cv=folds, method="predict_proba")
    return set(np.flatnonzero(find_label_issues(wanted, probabilities)).tolist())


def _contender(title: str, name: str, features: Any, model: Any, strengths: tuple[float, ...]) -> Contender:
    made = {"features": features, "model": model, "strengths": strengths}
    packages = ("scikit-learn", "model2vec") if features is StaticVectors else ("scikit-learn",)
    return Contender(
        fit=partial(fit, name=name, **made),
        version=lambda: " ".join(f"{package} {version(package)}" for package in packages),
        title=title,
        seeded=False,
        suspects=partial(suspects, **made) if model is logistic else None,
    )


LINEAR = {
    "tfidf_lr": _contender("TF-IDF + logistic regression", "tfidf_lr", words_and_letters, logistic, STRENGTHS),
    "tfidf_svm": _contender("TF-IDF + linear SVM", "tfidf_svm", words_and_letters, svm, SVM_STRENGTHS),
    "static_lr": _contender("Model2Vec + logistic regression", "static_lr", StaticVectors, logistic, STRENGTHS),
}
