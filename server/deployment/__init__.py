"""The coordinator's side of a deployment: certificates, SuperLink, submission of a run."""
