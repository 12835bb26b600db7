"""What normalisers do to the covariance: diagonal, or the identity."""

NAME = "06_preprocessing"


def test_the_covariance_is_diagonal_or_the_identity(quick):
    result = quick(NAME)["result"]
    beside, identity = result["beside_diagonal"], result["from_identity"]
    assert beside["PCA"][0] < 1e-6 < 0.5 < beside["mean image"][0]
    assert identity["whitening"][0] < 1e-6 and identity["ZCA"][0] < 1e-6
    assert result["from_identity_unseen"]["whitening"][0] > 0.1  # it is the training pictures' identity
    assert result["largest_mean"]["mean image"][0] < 1e-4 < 1 < result["largest_mean"]["channel mean"][0]
