"""The options that every task has."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from machamp_lite.weighting.class_weights import Scheme

COMMENT = -1
# No file has as many; rows are filled up to those that labels are written to.
MOST_COLUMNS = 10_000
# No option has a use for more, and single precision has room for products of a few such numbers.
LARGEST_NUMBER = 1e30

NonNegative = Annotated[float, Field(ge=0, le=LARGEST_NUMBER, allow_inf_nan=False)]
PositiveFloat = Annotated[float, Field(gt=0, le=LARGEST_NUMBER, allow_inf_nan=False)]


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class TaskConfig(BaseModel):
    """The options that every task type has; a task type's own ``Config`` adds to them."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    task_type: str
    column_idx: Annotated[int, Field(ge=-1, lt=MOST_COLUMNS)]
    loss_weight: NonNegative
    metric: str
    additional_metrics: Annotated[list[str], BeforeValidator(_as_list)]
    class_weights: Scheme | dict[str, NonNegative] | None
    class_weights_beta: Annotated[float, Field(ge=0, lt=1)]
    focal_gamma: NonNegative
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    logit_adjustment: NonNegative
    layers_to_use: Annotated[list[int], Field(min_length=1)] | Literal["all"]
    dropout: Annotated[float, Field(ge=0, lt=1)]
    learning_rate: PositiveFloat | None
    topn: Annotated[int, Field(gt=0, lt=2**31)]

    @property
    def is_on(self) -> bool:
        """False for a task that is switched off by a ``loss_weight`` of 0: it is neither trained nor predicted."""
        return self.loss_weight > 0

    def metric_names(self) -> list[str]:
        """The main metric first, then the additional ones."""
        return list(dict.fromkeys([self.metric, *self.additional_metrics]))
