"""What is stored: specifications, choices, results, failures.

Runs are of two kinds: in a seen/unseen world (`RunRecord`), and along a task sequence
(`IncrementalRecord`). A record's key is the SHA-256 of the canonical JSON of everything that may
change its numbers. Git commit, device, environment and threads are tags, not part of the key:
whoever changes numbers bumps `PROTOCOL_VERSION` or the method's `version`.
"""

from zslbench.records.base import Backbone, Exposure, Record, RuleName, WordVectors
from zslbench.records.choices import Alternative, Candidate, Choice, Scores, TuningWorld
from zslbench.records.compare import Disagreement, disagreement
from zslbench.records.keys import PROTOCOL_VERSION, canonical_json, digest, now
from zslbench.records.measurements import Measurement
from zslbench.records.runs import Cost, Failure, IncrementalRecord, Opening, RuleResult, RunRecord
from zslbench.records.specs import IncrementalSpec, RunSpec, Spec
from zslbench.records.sweeps import Sweep, Trial
