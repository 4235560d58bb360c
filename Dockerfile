# docker build -t anew .                                                          (for CPUs)
# docker build -t anew --build-arg TORCH_INDEX=https://pypi.org/simple .          (for NVIDIA GPUs)
# docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/work" anew train DATA --run RUN --budget 10m
FROM python:3.13-slim AS build
ARG EXTRAS=audio,video,tables,s3
# The wheels of PyPI bring CUDA, which is some gigabytes larger.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/anew \
 && /opt/anew/bin/pip install torch --index-url "$TORCH_INDEX"
COPY pyproject.toml README.md LICENSE /source/
COPY src /source/src
RUN /opt/anew/bin/pip install "/source[$EXTRAS]"

FROM python:3.13-slim
COPY --from=build /opt/anew /opt/anew
RUN useradd --uid 1000 --create-home anew
ENV PATH=/opt/anew/bin:$PATH \
    ANEW_CACHE=/tmp/anew-cache \
    PYTHONUNBUFFERED=1
USER anew
WORKDIR /work
ENTRYPOINT ["anew"]
CMD ["--help"]
