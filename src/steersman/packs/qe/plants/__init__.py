"""What is planted into a copy of a project, so that it is known what there is to find. Never into the user's tree."""
