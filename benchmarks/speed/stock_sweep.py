"""The same trials as Hydra's joblib launcher runs them: Lightning and MLFlowLogger in each.

python -m speed.stock_sweep -m hydra/launcher=joblib hydra.launcher.n_jobs=2 lr=0.001,0.002 ...
"""

from __future__ import annotations

import json
from pathlib import Path

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

ConfigStore.instance().store(name="stock", node={"job": "", "uri": "", "lr": 1e-3})


def app(config: DictConfig) -> float:
    from speed import pool, stock

    job, learner, feed = pool.load(config.job)
    folder = Path(HydraConfig.get().runtime.output_dir)
    told, _ = stock.fit(
        learner,
        feed,
        epochs=job["epochs"],
        lr=config.lr,
        clip=job["clip"],
        monitor=learner.monitor,
        folder=folder,
        uri=config.uri,
        every=50,
        device=job["device"],
    )
    (folder / "told.json").write_text(json.dumps(told | {"lr": config.lr}))
    return float(told["history"][-1]["val/loss"])


if __name__ == "__main__":
    hydra.main(version_base="1.3", config_path=None, config_name="stock")(app)()
