# memobench on the CPU:  docker build -t memobench .
# with CUDA:             docker build -t memobench:cuda --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu126 .
# an audit, without network and as your own user:
#   docker run --rm --network none --user "$(id -u):$(id -g)" -v "$PWD:/work" memobench \
#     audit --synthetic synthetic --train train --holdout holdout --out audits
FROM python:3.12-slim
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1
RUN pip install torch torchvision --index-url "$TORCH_INDEX"
COPY . /opt/memobench
RUN pip install "/opt/memobench[dicom]"
WORKDIR /work
ENTRYPOINT ["bench"]
CMD ["--help"]
