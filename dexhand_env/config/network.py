"""The `model` and `network` sections of a PPO configuration, in rl_games' own form (rl_games 1.6.5)."""

from __future__ import annotations

from typing import ClassVar, Literal, Mapping, Optional, Tuple

from pydantic import Field, model_validator
from typing_extensions import Annotated

from dexhand_env.config.schema import FROM_LIST, Section, problem

# rl_games' names; "None" is text: it is the name of its identity function.
Activation = Literal["relu", "tanh", "sigmoid", "elu", "selu", "swish", "gelu", "softplus", "None"]
InitializerName = Literal[
    "default",
    "const_initializer",
    "orthogonal_initializer",
    "glorot_normal_initializer",
    "glorot_uniform_initializer",
    "random_uniform_initializer",
    "kaiming_normal",
    "orthogonal",
]
Units = Annotated[Tuple[Annotated[int, Field(ge=1, le=65536)], ...], FROM_LIST]

# The arguments that each initializer takes, as torch.nn.init names them.
_INITIALIZER_ARGUMENTS: Mapping[str, Tuple[str, ...]] = {
    "default": (),
    "const_initializer": ("val",),
    "orthogonal_initializer": ("gain",),
    "glorot_normal_initializer": ("gain",),
    "glorot_uniform_initializer": ("gain",),
    "random_uniform_initializer": ("a", "b"),
    "kaiming_normal": ("a",),
    "orthogonal": ("gain",),
}


# Those that need no layer's shape.
_OF_NUMBERS = ("default", "const_initializer", "random_uniform_initializer")


class Model(Section):
    """rl_games' model."""

    name: Literal["continuous_a2c_logstd"] = Field(
        description="a Gaussian policy whose network gives the mean and the logarithm of the standard deviation"
    )


class Initializer(Section):
    """How weights start."""

    name: InitializerName = Field(description="rl_games' name of the initializer; default is torch's own")
    val: Optional[float] = Field(default=None, description="the constant, for const_initializer")
    gain: Optional[float] = Field(default=None, gt=0, description="the gain, for orthogonal and glorot initializers")
    a: Optional[float] = Field(
        default=None, description="lower bound, for random_uniform_initializer; slope, for kaiming_normal"
    )
    b: Optional[float] = Field(default=None, description="upper bound, for random_uniform_initializer")

    @model_validator(mode="after")
    def _gives_the_arguments_it_takes(self) -> Initializer:
        taken = _INITIALIZER_ARGUMENTS[self.name]
        for key in ("val", "gain", "a", "b"):
            if getattr(self, key) is not None and key not in taken:
                raise problem(
                    f"{self.name} does not take it", f"{', '.join(taken) or 'no argument'}; null removes it", (key,)
                )
        if self.name == "const_initializer" and self.val is None:
            raise problem("missing key", "a number, the constant", ("val",))
        return self


class ContinuousSpace(Section):
    """The Gaussian over actions."""

    mu_activation: Activation = Field(description="activation after the mean; None (as text) for none")
    sigma_activation: Activation = Field(description="activation after the log standard deviation; None for none")
    mu_init: Initializer = Field(description="how the mean's layer starts")
    sigma_init: Initializer = Field(
        description="how the log standard deviation starts: const_initializer with val 0.0 is a standard deviation of 1"
    )
    fixed_sigma: bool = Field(description="true: one learned standard deviation an action; false: the network gives it")

    @model_validator(mode="after")
    def _initializes_what_there_is(self) -> ContinuousSpace:
        if self.fixed_sigma and self.sigma_init.name not in _OF_NUMBERS:
            found = f"{self.sigma_init.name} is for a layer's weights, and with fixed_sigma true there are none"
            raise problem(found, ", ".join(_OF_NUMBERS), ("sigma_init", "name"))
        return self


class Space(Section):
    """The kind of actions."""

    REFUSED_KEYS: ClassVar[Mapping[str, str]] = {
        "discrete": "the hand's actions are continuous",
        "multi_discrete": "the hand's actions are continuous",
    }

    continuous: ContinuousSpace = Field(description="continuous actions")


class Mlp(Section):
    """The fully connected layers."""

    units: Units = Field(min_length=1, max_length=16, description="width of each hidden layer")
    activation: Activation = Field(description="activation after each hidden layer")
    initializer: Initializer = Field(description="how the layers' weights start")
    d2rl: Optional[bool] = Field(default=None, description="feed the observations to every hidden layer (D2RL)")


class CriticNetwork(Section):
    """What the networks of the policy and of a critic of its own share."""

    REFUSED_KEYS: ClassVar[Mapping[str, str]] = {
        "rnn": "recurrent policies are not supported",
        "cnn": "observations are vectors, not images",
    }

    name: Literal["actor_critic"] = Field(description="rl_games' network builder")
    mlp: Mlp = Field(description="the fully connected layers")
    normalization: Optional[Literal["layer_norm", "batch_norm"]] = Field(
        default=None, description="normalization after each hidden layer (mlp.d2rl true only); leave it out for none"
    )
    value_activation: Optional[Activation] = Field(default=None, description="activation after the value")

    @model_validator(mode="after")
    def _builds_what_it_says(self) -> CriticNetwork:
        if self.normalization is not None and not self.mlp.d2rl:
            raise problem("rl_games leaves it out without mlp.d2rl", "mlp.d2rl true, or null", ("normalization",))
        return self


class Network(CriticNetwork):
    """The network of policy and value."""

    separate: bool = Field(description="whether policy and value have layers of their own")
    space: Space = Field(description="the kind of actions")


class CentralNetwork(CriticNetwork):
    """The network of a critic of its own."""

    central_value: Literal[True] = Field(description="always true: this network gives a value only")
