resource "google_container_cluster" "medseg" {
  name                     = "medseg"
  location                 = var.region
  network                  = google_compute_network.medseg.id
  subnetwork               = google_compute_subnetwork.nodes.id
  initial_node_count       = 1
  remove_default_node_pool = true
  deletion_protection      = true
  # Network policies hold.
  datapath_provider = "ADVANCED_DATAPATH"

  release_channel {
    channel = "REGULAR"
  }
  ip_allocation_policy {
    cluster_secondary_range_name  = "pods"
    services_secondary_range_name = "services"
  }
  private_cluster_config {
    enable_private_nodes    = true
    enable_private_endpoint = false
    master_ipv4_cidr_block  = local.ranges.control
  }
  master_authorized_networks_config {
    dynamic "cidr_blocks" {
      for_each = var.administrators
      content {
        display_name = cidr_blocks.key
        cidr_block   = cidr_blocks.value
      }
    }
  }
  gateway_api_config {
    channel = "CHANNEL_STANDARD"
  }
  workload_identity_config {
    workload_pool = "${var.project}.svc.id.goog"
  }
  # The chart's Secret is encrypted with a key of one's own.
  database_encryption {
    state    = "ENCRYPTED"
    key_name = google_kms_crypto_key.medseg["secrets"].id
  }
  # podMonitoring of the chart.
  monitoring_config {
    enable_components = ["SYSTEM_COMPONENTS"]
    managed_prometheus {
      enabled = true
    }
  }

  depends_on = [google_kms_crypto_key_iam_member.cluster]
}

# What nodes act as: they log, are measured and fetch images, and no more.
resource "google_service_account" "nodes" {
  account_id   = "medseg-nodes"
  display_name = "Nodes of medseg"
}

resource "google_project_iam_member" "nodes" {
  for_each = toset(["roles/container.defaultNodeServiceAccount", "roles/artifactregistry.reader"])
  project  = var.project
  role     = each.key
  member   = google_service_account.nodes.member
}

resource "google_container_node_pool" "services" {
  name     = "services"
  cluster  = google_container_cluster.medseg.id
  location = var.region

  autoscaling {
    total_min_node_count = var.nodes.min
    total_max_node_count = var.nodes.max
  }
  node_config {
    machine_type    = var.node_type
    service_account = google_service_account.nodes.email
    oauth_scopes    = ["https://www.googleapis.com/auth/cloud-platform"]
    # Uploads are spooled, and objects put together, on the node's disk.
    disk_size_gb = 200
    shielded_instance_config {
      enable_secure_boot = true
    }
    workload_metadata_config {
      mode = "GKE_METADATA"
    }
  }
}

resource "google_container_node_pool" "gpu" {
  name           = "gpu"
  cluster        = google_container_cluster.medseg.id
  location       = var.region
  node_locations = var.gpu_zones

  autoscaling {
    total_min_node_count = var.gpu_nodes.min
    total_max_node_count = var.gpu_nodes.max
    location_policy      = "ANY"
  }
  node_config {
    machine_type    = var.gpu.machine
    service_account = google_service_account.nodes.email
    oauth_scopes    = ["https://www.googleapis.com/auth/cloud-platform"]
    disk_size_gb    = 100
    guest_accelerator {
      type  = var.gpu.type
      count = 1
      gpu_driver_installation_config {
        gpu_driver_version = "DEFAULT"
      }
    }
    # The chart's workers tolerate it, and nothing else of it does.
    taint {
      key    = "nvidia.com/gpu"
      value  = "present"
      effect = "NO_SCHEDULE"
    }
    workload_metadata_config {
      mode = "GKE_METADATA"
    }
  }
}
