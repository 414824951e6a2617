"""The peer in PyTorch of :class:`rnnaudio.nn.Draw`, with and without attention."""

from collections.abc import Mapping

import torch
from torch.nn import functional as F

Values = Mapping[str, torch.Tensor]
State = tuple[torch.Tensor, torch.Tensor]


class Draw(torch.nn.Module):
    """The equations of :class:`rnnaudio.nn.Draw`: images (batch, pixels) -> negative bound in nats per image.

    values: the parameters of our model by name, which are copied. size: (height, width). As in our model, products
    whose results are added are computed as one product, and what depends on the image alone is computed once, before
    the loop. In evaluation each code is at its mean, and the result is no bound.
    """

    def __init__(self, values: Values, size: tuple[int, int], n_steps: int, attention: bool):
        super().__init__()
        self.values = torch.nn.ParameterDict({name.replace(".", "/"): v.clone() for name, v in values.items()})
        self.size, self.n_steps, self.attention = size, n_steps, attention

    def of(self, name: str) -> torch.Tensor:
        """The parameter with this name in our model."""
        return self.values[name.replace(".", "/")]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        batch, of = len(images), self.of
        encoder, decoder = (
            (of(f"{name}.initial_hidden").expand(batch, -1), of(f"{name}.initial_cell").expand(batch, -1))
            for name in ("encoder", "painter.decoder")
        )
        canvas, nats = of("painter.canvas").expand(batch, -1), images.new_zeros(())
        into_encoder = torch.cat([of("encoder.lstm.w_input"), of("encoder.lstm.w_hidden")])
        into_decoder = torch.cat([of("painter.decoder.lstm.w_input"), of("painter.decoder.lstm.w_hidden")])
        prepared = images if self.attention else images @ (of("reader.w_image") + of("reader.w_error"))
        for _ in range(self.n_steps):
            h = decoder[0]
            joined = torch.cat([h, encoder[0]], dim=1)
            z = torch.addmm(self.reading(prepared, canvas, h) + of("encoder.lstm.bias"), joined, into_encoder)
            encoder = lstm(z, encoder[1])
            mean, log_std = torch.addmm(of("codes.bias"), encoder[0], of("codes.weight")).chunk(2, dim=1)
            std = log_std.exp()
            code = mean + std * torch.randn_like(std) if self.training else mean
            z = torch.addmm(of("painter.decoder.lstm.bias"), torch.cat([code, h], dim=1), into_decoder)
            decoder = lstm(z, decoder[1])
            canvas = canvas + self.stroke(decoder[0])
            nats = nats + (0.5 * (mean.square() + std.square() - 1.0) - log_std).sum()
        reconstruction = F.binary_cross_entropy_with_logits(canvas, images, reduction="sum")
        return (reconstruction + nats) / batch

    def reading(self, prepared: torch.Tensor, canvas: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        """Input of the encoder, as its part of the gates' pre-activations (batch, 4 n).

        prepared: the images (batch, pixels) with attention, without it their part of the result (batch, 4 n)
        canvas: (batch, pixels); hidden: h of the decoder
    """
        if not self.attention:
            return prepared - torch.sigmoid(canvas) @ self.of("reader.w_error")
        n = round((len(self.of("reader.weight")) / 2) ** 0.5)
        numbers = torch.addmm(self.of("reader.place.bias"), hidden, self.of("reader.place.weight"))
        rows, columns = banks(numbers, self.size, n)
        intensity = numbers[:, 4].exp()[:, None]
        both = torch.stack([prepared, prepared - torch.sigmoid(canvas)], dim=1).reshape(len(canvas), 2, *self.size)
        read = rows[:, None] @ both @ columns[:, None].transpose(2, 3)
        return (intensity * read.reshape(len(canvas), -1)) @ self.of("reader.weight")

    def stroke(self, hidden: torch.Tensor) -> torch.Tensor:
        """The stroke that is added to the canvas, (batch, pixels), from h of the decoder."""
        if not self.attention:
            return torch.addmm(self.of("painter.write.bias"), hidden, self.of("painter.write.weight"))
        numbers = torch.addmm(self.of("painter.write.dense.bias"), hidden, self.of("painter.write.dense.weight"))
        n = round((numbers.shape[1] - 5) ** 0.5)
        patch, place = numbers[:, : n * n].reshape(-1, n, n), numbers[:, n * n :]
        rows, columns = banks(place, self.size, n)
        return (rows.transpose(1, 2) @ patch @ columns).flatten(1) / place[:, 4].exp()[:, None]


def lstm(z: torch.Tensor, c: torch.Tensor) -> State:
    """One step of an LSTM: pre-activations (batch, 4 n), blocks i, f, g, o, and the old c (batch, n) -> (h, c)."""
    i, f, g, o = z.chunk(4, dim=1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def banks(numbers: torch.Tensor, size: tuple[int, int], n: int) -> State:
    """The filters F_Y (batch, n, height) and F_X (batch, n, width), see :func:`rnnaudio.nn.attention.banks`.

    numbers: (batch, 5) or more columns: x, y, log variance, log stride, log intensity of the window. size: (height,
    width).
    """
    height, width = size
    x, y = 0.5 * (width + 1) * (numbers[:, 0] + 1), 0.5 * (height + 1) * (numbers[:, 1] + 1)
    variance, stride = numbers[:, 2].exp(), (max(size) - 1) / max(n - 1, 1) * numbers[:, 3].exp()
    of_height, of_width = (max(side - 1, 1) / max(max(size) - 1, 1) for side in size)
    return (
        filters(y, of_height * stride, of_height**2 * variance, n, height),
        filters(x, of_width * stride, of_width**2 * variance, n, width),
    )


def filters(
    centre: torch.Tensor, stride: torch.Tensor, variance: torch.Tensor, n: int, n_pixels: int
) -> torch.Tensor:
    """Gaussian filters along a side of an image: centre, stride, variance (batch,) -> (batch, n, n_pixels), sums 1."""
    means = centre[:, None] + (torch.arange(1, n + 1) - n / 2 - 0.5) * stride[:, None]
    pixels = torch.arange(1, n_pixels + 1)
    exponents = -(pixels - means[:, :, None]).square() / (2 * variance[:, None, None])
    return torch.softmax(exponents, dim=2)
